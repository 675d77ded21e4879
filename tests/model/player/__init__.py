"""One user of a store: does what it is told by name, and answers in plain data.

The same code plays in the process of the tests, sync (`PLAIN`) or through `treering.aio` (`Awaited`), and in a child
that is driven over a pipe (`python -m player`: pickled calls on stdin, pickled answers on stdout).

Never: decides anything. Whether an answer is right is the model's to say.
"""

from player.answer import Answer
from player.awaited import Awaited
from player.child import Child
from player.core import PLAIN
from player.player import Player

__all__ = ["PLAIN", "Answer", "Awaited", "Child", "Player"]
