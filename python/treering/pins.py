"""Pins: names that keep blocks, whatever becomes of the threads that they came from."""

from __future__ import annotations

from typing import Any, ClassVar

from treering._calls import Op, read, verb
from treering._core import Cid
from treering._family import SYNC, Family
from treering._session import Address, Home


class Pins:
    """The pins of one scope, `scope.pins`: each is a ref to a block and keeps it and all it links to."""

    __slots__ = ("_home",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home) -> None:
        self._home = home

    @verb
    def add(self, name: str, cid: Cid) -> Op[None]:
        """Returns nothing; the name now keeps the block, durable. A name that is there is moved.

        Errors:
            NotFound (`not-found`): the block is not here.
            Invalid (`invalid`): the name can't be.
        """
        yield self._home.threads.pin_add(name, cid)

    @read
    def list(self) -> dict[str, Cid]:
        """Returns all pins by name, in name order."""
        return dict(self._home.threads.pin_list())

    @verb
    def rm(self, name: str) -> Op[None]:
        """Returns nothing; the pin is gone, its block stays until it is collected.

        Errors:
            NotFound (`not-found`): there is no such pin.
        """
        yield self._home.threads.pin_rm(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_pins, (self._family, self._home.portable("Pins"))

    def __repr__(self) -> str:
        return f"<Pins of {self._home.scope} in {self._home.session.name}>"


def reopen_pins(family: Family, address: Address) -> Pins:
    """Opens pickled pins."""
    return family.Pins(address.open())


SYNC.Pins = Pins
