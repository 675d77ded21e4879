"""For tests of what you build on treering: a clock that you move, stores and disks that fail as planned, and
what a power failure leaves, moment by moment.

    >>> import treering
    >>> from treering import testing
    >>> faults = testing.Faults()
    >>> store = testing.memory(faults=faults)
    >>> faults.fail("commit", treering.DiskFull, nth=2)
    >>> thread = store.threads.start("job")
    >>> thread.append("worker", "one")
    Traceback (most recent call last):
    ...
    treering.errors.DiskFull: the disk is full; nothing of this commit was written: make room and repeat it
    >>> thread.append("worker", "one").number
    1

Nothing here is needed at run time, and `import treering` does not load it.
"""

from treering.testing.clock import Clock
from treering.testing.deciding import Decided, Given, given
from treering.testing.disk import Disk, Operation
from treering.testing.faults import Call, Faults
from treering.testing.opening import as_async, memory, open
from treering.testing.power import Loss, PowerCut, power_cuts

__all__ = [
    "Call",
    "Clock",
    "Decided",
    "Disk",
    "Faults",
    "Given",
    "Loss",
    "Operation",
    "PowerCut",
    "as_async",
    "given",
    "memory",
    "open",
    "power_cuts",
]
