"""A plan of what goes wrong with a store's calls, as a caller sees it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from treering._core import FaultsCore
from treering.errors import Invalid, TreeringError

Call: TypeAlias = Literal["commit", "read", "lease", "hold", "gc"]
"""What is asked of a store.

Every verb that writes is one `commit`; a look-up may take several reads. A `lease` is taken or given back, a
`hold` extended or released.
"""


class Faults:
    """What goes wrong with the stores that are opened on it; nothing until it is planned.

    A store fails as a real one would: what is refused was not written, and after `CommitUnknown` or `Poisoned`
    every write raises `Poisoned` until the store is opened anew on this plan, or `heal()`.
    """

    __slots__ = ("_core",)

    def __init__(self) -> None:
        self._core = FaultsCore()

    def fail(
        self,
        call: Call,
        error: type[TreeringError],
        *,
        nth: int = 1,
        times: int | None = 1,
        landed: bool = False,
    ) -> None:
        """Plans that the `nth` such call from now on (the first is 1) raises `error`; returns nothing.

        `times` calls in a row do, None: all until `heal()`. `error` is `DiskFull`, `Unavailable` (the device does
        not answer), `LockTimeout`, `Poisoned`, `CommitUnknown` (with `landed`: the commit happens, its answer is
        lost), `LeaseLost` (of a commit under a lease, which is given back first) or, of a read, `Corrupt`.

        Errors:
            Invalid (`invalid`): such a call can't fail so.
        """
        self._core.fail(call, _kind(error), _nth(nth), _times(times), landed)

    def delay(self, call: Call, seconds: float, *, nth: int = 1, times: int | None = None) -> None:
        """Plans that the answer of the `nth` such call from now on comes so much later; returns nothing.

        A commit itself is not delayed, and its answer is not overtaken by a later one's. `times` as in `fail`.

        Errors:
            Invalid (`invalid`): `seconds` is negative or over a day.
        """
        if not 0 <= seconds <= 86_400:
            raise Invalid(f"seconds {seconds!r} is not within 0 … 86400")
        self._core.delay(call, round(seconds * 1000), _nth(nth), _times(times))

    def heal(self) -> None:
        """Forgets the plan; a store that refuses writes takes them again."""
        self._core.heal()

    def calls(self, call: Call) -> int:
        """Returns how many such calls there were so far, the refused ones too."""
        return self._core.calls(call)

    @property
    def injected(self) -> int:
        """How many calls were made to fail or wait so far: a test whose fault never fired shows nothing."""
        return self._core.injected()

    def __repr__(self) -> str:
        return f"<Faults injected={self.injected}>"


def _kind(error: object) -> str:
    if not (isinstance(error, type) and issubclass(error, TreeringError)):
        raise Invalid(f"error {error!r} is no error class of treering; give one, such as treering.DiskFull")
    return error.kind


def _nth(nth: int) -> int:
    if nth < 1:
        raise Invalid(f"nth {nth} is not 1 or more; calls count from 1")
    return nth


def _times(times: int | None) -> int | None:
    if times is not None and times < 1:
        raise Invalid(f"times {times} is not 1 or more; None is for ever")
    return times
