"""A disk that fails as told, under a real store."""

from __future__ import annotations

from typing import Literal, TypeAlias

from treering._core import DiskCore
from treering.errors import DiskFull, Invalid, Unavailable

Operation: TypeAlias = Literal["change", "open", "write", "sync", "read"]
"""What a store asks of its disk. A `change` is any operation but a read: opens, writes, syncs, names made and
removed. An `open` is that of any file, one to be read too."""


class Disk:
    """The disk of the store that is opened on it (one store): real files, and failures as they are planned.

    The store's own code meets the failure, so what it raises, and what it does then, is what it would do.
    One plan for changes and one for reads at a time: the newest counts. `sync=False` leaves out the real disk's
    share of each sync, which is most of the time of a test with many commits: all else is the same, but for a
    power failure while the test runs.
    """

    __slots__ = ("_core",)

    def __init__(self, *, sync: bool = True) -> None:
        self._core = DiskCore(None, sync)

    def fail(
        self,
        operation: Operation,
        error: type[Unavailable] = Unavailable,
        *,
        nth: int = 1,
        lasting: bool = False,
    ) -> None:
        """Plans that the `nth` such operation from now on (the first is 1) fails; returns nothing.

        `Unavailable`: the device does not answer. `DiskFull`: there is no room; of a write the first half gets in,
        and what takes no room passes and does not count. `lasting`: all after it too, until `heal()`.

        Errors:
            Invalid (`invalid`): such an operation can't fail so.
        """
        self._core.fail(operation, _failure(error), _after(nth), lasting)

    def flip(self, *, nth: int = 1, lasting: bool = False, seed: int = 0) -> None:
        """Plans that the `nth` read from now on gives its bytes with one bit the other way; returns nothing.

        The bytes on the disk stay as they are. Which bit it is follows from `seed`.
        """
        self._core.flip(seed, _after(nth), lasting)

    def heal(self) -> None:
        """Forgets the plans. A store that was poisoned meanwhile still has to be opened anew."""
        self._core.heal()

    def operations(self) -> dict[Operation, int]:
        """Returns how many operations of each kind were asked for so far; failed ones too."""
        return self._core.operations()

    @property
    def failed(self) -> int:
        """How many operations were made to fail, and reads to lie, so far."""
        return self._core.failed()

    def __repr__(self) -> str:
        return f"<Disk failed={self.failed}>"


def _failure(error: type[Unavailable]) -> Literal["device", "full"]:
    if error is DiskFull:
        return "full"
    if error is Unavailable:
        return "device"
    raise Invalid(f"error {error!r}: a disk fails with DiskFull or Unavailable; use Faults for others")


def _after(nth: int) -> int:
    if nth < 1:
        raise Invalid(f"nth {nth} is not 1 or more; operations count from 1")
    return nth - 1
