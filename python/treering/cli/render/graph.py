"""Threads that share steps, as one tree: each shared step once, a lane for every fork.

A fork shares its steps' blocks with the thread it came from, so the tree is read off the chains themselves, not off
what the records say: it is right for forks of forks, and when the thread in the middle was removed.

Promises: every thread's head is labelled; a step stands in one place; branches are placed with O(log n) block reads
each where the records say right where they come from, and only steps that are shown are read. Never: follows a chain
to its end, or calls itself once for each fork of a fork.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

#: Of a long run of steps with no fork in it, so many are shown at either end.
FOLD_EDGE: Final = 3


class Chain(Protocol):
    """What the tree needs to know of a thread."""

    @property
    def id(self) -> str: ...
    @property
    def origin(self) -> str | None:
        """The id of the thread that it says it was forked from: where the search for its place begins."""
        ...

    @property
    def last(self) -> int:
        """The number of its head's step; 0 for a thread with no step yet."""
        ...

    def cid_at(self, number: int) -> str:
        """The CID of a step."""
        ...

    def shared_with(self, other: "Chain") -> int:
        """The number of the last step that both have; 0 where it is none."""
        ...


C = TypeVar("C", bound=Chain)


@dataclass(slots=True)
class Branch(Generic[C]):
    """A thread's own part of the tree: the steps after `attach`, which is on `parent`'s lane."""

    chain: C
    parent: "Branch[C] | None" = None
    attach: int = 0
    children: list["Branch[C]"] = field(default_factory=list)
    #: Children by (where they leave, their first own step).
    by_first: dict[tuple[int, str], "Branch[C]"] = field(default_factory=dict)

    @property
    def is_resting(self) -> bool:
        """Whether it has no step of its own: a fork that nobody went on with yet."""
        return self.chain.last == self.attach

    def each(self) -> Iterator[tuple["Branch[C]", int]]:
        """It and all below it, a branch before its children, each with the number of branches above."""
        waiting: list[tuple[Branch[C], int]] = [(self, 0)]
        while waiting:
            branch, depth = waiting.pop()
            yield branch, depth
            waiting += [(child, depth + 1) for child in reversed(branch.children)]


def build(chains: Iterable[C]) -> Branch[C] | None:
    """The tree of threads that have one start; the oldest is the trunk. None where there is no thread."""
    root: Branch[C] | None = None
    placed: dict[str, Branch[C]] = {}
    for chain in sorted(chains, key=lambda chain: chain.id):
        if root is None:
            root = placed[chain.id] = Branch(chain)
        else:
            placed[chain.id] = _place(placed.get(chain.origin or "", root), chain)
    return root


def _place(near: Branch[C], chain: C) -> Branch[C]:
    """Follows the chain as far as it is shared, and hangs the rest on there.

    It goes up from `near` to a lane whose own steps it shares, and down from there: what it shares with one lane is
    found by common ancestor; it can share more only with a branch that leaves that lane at the same step and begins
    with the same step.
    """
    branch = near
    shared = chain.shared_with(branch.chain)
    while branch.parent is not None and shared <= branch.attach:
        branch = branch.parent
        shared = chain.shared_with(branch.chain)
    while True:
        if shared == chain.last:
            first = None
            break
        first = (shared, chain.cid_at(shared + 1))
        follow = branch.by_first.get(first)
        if follow is None:
            break
        branch = follow
        shared = chain.shared_with(branch.chain)
    placed = Branch(chain, branch, shared)
    branch.children.append(placed)
    if first is not None:
        branch.by_first[first] = placed
    return placed


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the tree is drawn with."""

    start: str = "◆"
    step: str = "●"
    head: str = "◉"
    lane: str = "│"
    fold: str = "┊"
    fork: str = "├─╮"
    last_fork: str = "╰─╮"
    label: str = "├╴"
    last_label: str = "╰╴"


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs("o", "*", "@", "|", ":", "|-.", "`-.", "|-", "`-")


@dataclass(frozen=True, slots=True)
class Start:
    """The line of the start node."""


@dataclass(frozen=True, slots=True)
class Step(Generic[C]):
    """The line of a step."""

    chain: C
    number: int


@dataclass(frozen=True, slots=True)
class Fold:
    """The line that stands for steps left out."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Head(Generic[C]):
    """The line that names a thread whose head is the step above."""

    chain: C


@dataclass(frozen=True, slots=True)
class Line(Generic[C]):
    """One line: the lanes to its left as (depth, text), then what it is about (None: only lanes)."""

    lanes: tuple[tuple[int, str], ...]
    about: Start | Step[C] | Fold | Head[C] | None


def draw(root: Branch[C], glyphs: Glyphs = UNICODE, *, fold: bool = True) -> Iterator[Line[C]]:
    """The tree's lines from the start downwards; a fork's lane is drawn whole before its parent's goes on."""
    yield Line(((0, glyphs.start + " "),), Start())
    edge = FOLD_EDGE if fold else None
    lanes = [_lane(_Below(root, ()), glyphs, edge)]
    while lanes:
        drawn = next(lanes[-1], None)
        if drawn is None:
            lanes.pop()
        elif isinstance(drawn, Line):
            yield drawn
        else:
            lanes.append(_lane(drawn, glyphs, edge))


@dataclass(frozen=True, slots=True)
class _Below(Generic[C]):
    """A branch whose lane comes next, and the lanes to its left."""

    branch: Branch[C]
    left: tuple[tuple[int, str], ...]


def _lane(drawn: _Below[C], glyphs: Glyphs, edge: int | None) -> Iterator[Line[C] | _Below[C]]:
    branch, left = drawn.branch, drawn.left
    depth = len(left)
    last = branch.chain.last
    stops = sorted({child.attach for child in branch.children} | {last})
    number = branch.attach
    for stop in stops:
        yield from _run(branch.chain, number + 1, stop, _heads_at(branch, stop), left, depth, glyphs, edge)
        number = stop
        below: list[Head[C] | Branch[C]] = [Head(chain) for chain in _heads_at(branch, stop)]
        below += [child for child in branch.children if child.attach == stop and not child.is_resting]
        for index, item in enumerate(below):
            ends = stop == last and index == len(below) - 1
            if isinstance(item, Head):
                yield Line((*left, (depth, glyphs.last_label if ends else glyphs.label)), item)
            else:
                yield Line(
                    (*left, (depth, (glyphs.last_fork if ends else glyphs.fork)[:2]), (depth + 1, glyphs.fork[2:])),
                    None,
                )
                lane = " " if ends else glyphs.lane
                yield _Below(item, (*left, (depth, lane + " ")))


def _run(
    chain: C,
    first: int,
    last: int,
    heads: Sequence[C],
    left: tuple[tuple[int, str], ...],
    depth: int,
    glyphs: Glyphs,
    edge: int | None,
) -> Iterator[Line[C]]:
    """The steps from `first` to `last`, none of which but the last has anything hanging on it."""
    hidden = range(0)
    if edge is not None and last - first + 1 > 2 * edge + 1:
        hidden = range(first + edge, last - edge + 1)
    for number in (
        range(first, last + 1) if not hidden else (*range(first, hidden[0] + 1), *range(hidden[-1] + 1, last + 1))
    ):
        if hidden and number == hidden[0]:
            yield Line((*left, (depth, glyphs.fold + " ")), Fold(hidden[0], hidden[-1]))
        else:
            glyph = glyphs.head if number == last and heads else glyphs.step
            yield Line((*left, (depth, glyph + " ")), Step(chain, number))


def _heads_at(branch: Branch[C], number: int) -> list[C]:
    own = [branch.chain] if branch.chain.last == number else []
    return own + [child.chain for child in branch.children if child.is_resting and child.attach == number]
