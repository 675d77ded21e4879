"""What a power failure leaves of a store: every moment that matters, each as a directory to be opened.

Promises: what was synced is there; of what was not, any sectors, lengths and names may be gone.
Never: the machine's own disk is trusted or harmed; a run is the same again only as far as what it ran is.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from treering._core import CutsCore, DiskCore
from treering.errors import Invalid
from treering.store import Store
from treering.testing.clock import Clock
from treering.testing.disk import Disk
from treering.testing.opening import open as open_store

Loss: TypeAlias = Literal["all", "nothing", "random", "torn"]
"""What a power failure takes of what was not synced: all of it, nothing, each sector by a throw of dice, or what
came after some moment, where what was being written then is torn."""

Life: TypeAlias = Callable[[Store, Callable[[str], None]], object]
"""What is done to a store. Its second argument is called with a text whenever it has been promised something."""

_BEGUN = "the store is open"


@dataclass(frozen=True, slots=True)
class PowerCut:
    """A store's directory after the power failed."""

    path: Path
    """The directory, to be opened, changed, and closed before the next one is asked for: it is removed then."""
    marks: tuple[str, ...]
    """What had been promised before, in order."""
    loss: Loss
    """What was lost of what was not synced."""
    seed: int
    """What the dice of `loss` fell by."""
    after: int
    """How many operations had happened on the disk."""
    event: str
    """The last of them, in words."""


def power_cuts(
    life: Life,
    *,
    losses: Sequence[Loss] = ("all", "nothing", "random", "torn"),
    seed: int = 0,
    clock: Clock | None = None,
) -> Iterator[PowerCut]:
    """Returns every power failure that could have struck while `life(store, mark)` ran, one by one.

    `life` runs once, on an empty store that is closed afterwards; `mark(text)` notes that what it did so far was
    answered. The power fails before each sync, when most can be lost, and after each mark, when nothing that was
    promised may be; once for each of `losses`. O(disk operations) moments, some hundred for a dozen commits.

    Errors:
        Invalid (`invalid`): `losses` is empty or holds something else.
        Whatever `life` raises.

    Example:
        >>> from treering import testing
        >>> def life(store, mark):
        ...     thread = store.threads.start("job", key="k")
        ...     mark("started")
        >>> for cut in testing.power_cuts(life, losses=["all"]):
        ...     with testing.open(cut.path) as store:
        ...         assert len(store.threads.list()) == 1 or "started" not in cut.marks
    """
    if not losses or not set(losses) <= set(get_args(Loss)):
        raise Invalid(f"losses {losses!r} are not of {', '.join(get_args(Loss))}, at least one")
    return _cuts(life, tuple(losses), seed, clock)


def _cuts(life: Life, losses: tuple[Loss, ...], seed: int, clock: Clock | None) -> Iterator[PowerCut]:
    with tempfile.TemporaryDirectory(prefix="treering-power-") as folder:
        moments, texts = _live(life, Path(folder) / "live", clock)
        while (moment := moments.next()) is not None:
            after, event, numbers, losable = moment
            if not numbers:
                continue  # The store is only being made: there may be none yet.
            marks = tuple(texts[number] for number in numbers[1:])
            for loss in losses if losable else losses[:1]:
                dice = seed * 1_000_003 + after
                path = Path(folder) / f"{after}-{loss}"
                path.mkdir()
                moments.materialise(loss, dice, path)
                yield PowerCut(path / "store", marks, loss, dice, after, event)
                shutil.rmtree(path)


def _live(life: Life, root: Path, clock: Clock | None) -> tuple[CutsCore, list[str]]:
    """Runs `life` and returns what happened on its disk, and the texts of its marks by number."""
    root.mkdir()
    disk = Disk()
    disk._core = core = DiskCore(root, False)
    texts: list[str] = []
    turn = threading.Lock()

    def mark(text: str) -> None:
        with turn:
            core.mark(len(texts))
            texts.append(text)

    with open_store(root / "store", clock=clock, disk=disk) as store:
        mark(_BEGUN)
        life(store, mark)
    return core.cuts(), texts
