"""The rules by which a sequence of verbs is made up, and what the store must be after each of them."""

from machine.coming import Coming
from machine.committing import Committing
from machine.leasing import Leasing
from machine.quarantine import Quarantine
from machine.reading import Reading
from machine.repeating import Repeating
from machine.starting import Starting
from machine.world import AWAITED, PLAIN, end_children
from machine.writing import Writing

__all__ = ["AWAITED", "PLAIN", "Embedded", "InMemory", "Machine", "end_children"]


class Machine(Starting, Writing, Committing, Repeating, Reading, Leasing, Quarantine, Coming):
    """All rules; each file has those of one idea (`Committing` goes on from `Blocks`, `Quarantine` from `Breaking`,
    that from `Moving` and `Journal`)."""


class Embedded(Machine):
    """Two players in this process, one of them async, and one in a child."""

    in_memory = False


class InMemory(Machine):
    """Three players on the one store that there is, one of them async."""

    in_memory = True
