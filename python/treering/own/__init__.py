"""Actors of one's own: a class says what state there is, what may be asked and what happens, treering keeps it."""

from treering.own.context import ActorContext
from treering.own.handle import OwnActor, StateAt
from treering.own.rules import Actor, upcast

__all__ = ["Actor", "ActorContext", "OwnActor", "StateAt", "upcast"]
