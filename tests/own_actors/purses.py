"""One kind of actor in the versions that it went through, and in some that went astray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import treering


class One:
    """Schema 1: amounts as text, in an event that is called Put."""

    @dataclass(frozen=True)
    class Add:
        amount: str

    @dataclass(frozen=True)
    class Put:
        amount: str

    @dataclass(frozen=True)
    class Sum:
        total: str = "0"


class Purse1(treering.Actor[One.Sum, One.Add, One.Put]):
    kind = "purse"

    def decide(self, state: One.Sum, command: One.Add, context: treering.ActorContext) -> One.Put:
        return One.Put(command.amount)

    def evolve(self, state: One.Sum, event: One.Put) -> One.Sum:
        return One.Sum(str(int(state.total) + int(event.amount)))


@dataclass(frozen=True)
class Add:
    cents: int


@dataclass(frozen=True)
class Put:
    cents: int
    currency: str = "EUR"


@dataclass(frozen=True)
class Sum:
    total: int = 0
    currency: str = "EUR"


class Purse3(treering.Actor[Sum, Add, Put]):
    """Schema 2 called the amount cents; schema 3 has numbers."""

    kind = "purse"
    schema = 3
    factor = 1

    def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> Put:
        return Put(command.cents)

    def evolve(self, state: Sum, event: Put) -> Sum:
        return Sum(state.total + event.cents * self.factor, event.currency)

    @treering.upcast(1)
    def _cents(self, type: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if type == "Put":
            return type, {"cents": fields["amount"] + "00"}
        return type, {"total": fields["total"] + "00"} if type == "State" else fields

    @treering.upcast(2)
    def _numbers(self, type: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        known = type in ("Put", "State")
        return type, {name: int(value) for name, value in fields.items()} if known else fields


class Twice(Purse3):
    fold = 2
    factor = 2


class Renamed(treering.Actor[Sum, Add, One.Put | Put]):
    """The event of before has another class now, under its old name."""

    kind = "purse"
    schema = 3
    fold = 5
    names: ClassVar[dict[type, str]] = {Put: "Gained", One.Put: "Put"}

    def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> Put:
        return Put(command.cents)

    def evolve(self, state: Sum, event: One.Put | Put) -> Sum:
        return Sum(state.total + (event.cents if isinstance(event, Put) else 100 * int(event.amount)))
