"""Two versions of one kind of actor, of programs that run side by side: the older one does not know what the newer
one's events say. `later(schema, fold)` is the newer one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import treering


@dataclass(frozen=True)
class Order:
    item: str


@dataclass(frozen=True)
class Ordered:
    item: str


@dataclass(frozen=True)
class Orders:
    count: int = 0


class Older(treering.Actor[Orders, Order, Ordered]):
    kind = "orders"

    def decide(self, state: Orders, command: Order, context: treering.ActorContext) -> Ordered:
        return Ordered(command.item)

    def evolve(self, state: Orders, event: Ordered) -> Orders:
        return Orders(state.count + 1)


@dataclass(frozen=True)
class Price:
    cents: int = 0


@dataclass(frozen=True)
class Order2:
    item: str
    cents: int = 0


@dataclass(frozen=True)
class Ordered2:
    """A field more, in one of its own and in one that it holds."""

    item: str
    cents: int = 0
    more: Mapping[str, Price] = field(default_factory=dict)


@dataclass(frozen=True)
class Refund:
    cents: int


@dataclass(frozen=True)
class Refunded:
    cents: int


@dataclass(frozen=True)
class Orders2:
    count: int = 0
    total: int = 0


def later(of_schema: int = 1, of_fold: int = 1) -> type[treering.Actor[Orders2, Order2 | Refund, Ordered2 | Refunded]]:
    class Later(treering.Actor[Orders2, Order2 | Refund, Ordered2 | Refunded]):
        kind = "orders"
        schema = of_schema
        fold = of_fold
        names: ClassVar[dict[type, str]] = {Ordered2: "Ordered"}

        def decide(
            self, state: Orders2, command: Order2 | Refund, context: treering.ActorContext
        ) -> Ordered2 | Refunded:
            if isinstance(command, Refund):
                return Refunded(command.cents)
            return Ordered2(command.item, command.cents)

        def evolve(self, state: Orders2, event: Ordered2 | Refunded) -> Orders2:
            if isinstance(event, Refunded):
                return replace(state, total=state.total - event.cents)
            return Orders2(state.count + 1, state.total + event.cents)

    return Later
