"""The tree of forks: every head labelled, every shared step once, right for forks of forks."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treering.cli.render import graph


@dataclass
class Chain:
    """A thread of which only the steps' names are known."""

    id: str
    steps: tuple[str, ...]
    forked_from: str | None = None
    looked: list[int] = field(default_factory=list, compare=False)
    compared: int = field(default=0, compare=False)

    @property
    def last(self) -> int:
        return len(self.steps)

    @property
    def origin(self) -> str | None:
        return self.forked_from

    def cid_at(self, number: int) -> str:
        self.looked.append(number)
        return "/".join(self.steps[:number])

    def shared_with(self, other: graph.Chain) -> int:
        assert isinstance(other, Chain)
        self.compared += 1
        pairs = zip(self.steps, other.steps, strict=False)
        return next((at for at, (one, two) in enumerate(pairs) if one != two), min(self.last, other.last))


def drawn(*chains: Chain, fold: bool = True, glyphs: graph.Glyphs = graph.UNICODE) -> str:
    root = graph.build(chains)
    assert root is not None
    lines = []
    for line in graph.draw(root, glyphs, fold=fold):
        text = "".join(lane for _, lane in line.lanes)
        match line.about:
            case graph.Start():
                text += "start"
            case graph.Step(chain, number):
                assert isinstance(chain, Chain)
                text += chain.steps[number - 1]
            case graph.Fold(first, last):
                text += f"{first}-{last}"
            case graph.Head(chain):
                text += chain.id
        lines.append(text.rstrip())
    return "\n".join(lines)


def test_no_thread_no_tree() -> None:
    assert graph.build([]) is None


def test_a_thread_without_steps() -> None:
    assert drawn(Chain("A", ())) == "◆ start\n╰╴A"


def test_forks_of_forks() -> None:
    assert (
        drawn(
            Chain("A", tuple("abcd")),
            Chain("B", tuple("abxy")),
            Chain("C", tuple("abxz")),
            Chain("D", tuple("ab")),
            Chain("E", tuple("abcde")),
        )
        == """\
◆ start
● a
◉ b
├╴D
├─╮
│ ● x
│ ├─╮
│ │ ◉ z
│ │ ╰╴C
│ ◉ y
│ ╰╴B
● c
◉ d
├╴A
╰─╮
  ◉ e
  ╰╴E"""
    )


def test_a_fork_at_the_start() -> None:
    assert drawn(Chain("A", ("a",)), Chain("B", ("b",)), Chain("C", ())) == "\n".join(
        ["◆ start", "├╴C", "├─╮", "│ ◉ b", "│ ╰╴B", "◉ a", "╰╴A"]
    )


def test_the_middle_thread_may_be_gone() -> None:
    """B was forked from A, C from B; B was removed. C hangs on A by the steps that it has."""
    assert drawn(Chain("A", tuple("ab")), Chain("C", tuple("axy"))) == "\n".join(
        ["◆ start", "● a", "├─╮", "│ ● x", "│ ◉ y", "│ ╰╴C", "◉ b", "╰╴A"]
    )


def test_long_runs_are_folded_and_only_they() -> None:
    seven = Chain("A", tuple("abcdefg"))
    assert "1-" not in drawn(seven)
    assert drawn(Chain("A", tuple("abcdefgh"))).splitlines() == (
        ["◆ start", "● a", "● b", "● c", "┊ 4-5", "● f", "● g", "◉ h", "╰╴A"]
    )
    assert "┊" not in drawn(Chain("A", tuple("abcdefgh")), fold=False)


def test_ascii() -> None:
    assert drawn(Chain("A", tuple("ab")), Chain("B", tuple("ac")), glyphs=graph.ASCII) == "\n".join(
        ["o start", "* a", "|-.", "| @ c", "| `-B", "@ b", "`-A"]
    )


def test_a_long_thread_is_not_followed() -> None:
    """Of a thread with 100,000 steps the tree asks for one CID a branch, and draws seven lines."""
    trunk = Chain("A", tuple(map(str, range(100_000))))
    fork = Chain("B", (*trunk.steps[:50_000], "x"))
    root = graph.build([trunk, fork])
    assert root is not None
    assert (trunk.looked, fork.looked) == ([], [50_001])
    assert len(list(graph.draw(root))) < 25


_chains = st.lists(st.lists(st.sampled_from("ab"), max_size=6).map(tuple), min_size=1, max_size=8)


@given(_chains, st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_every_head_is_labelled_and_every_step_stands_once(steps: list[tuple[str, ...]], origins: list[int]) -> None:
    # Where a thread says it was forked from is a hint, which may be wrong.
    chains = [
        Chain(f"{number:02}", path, f"{origin:02}")
        for number, (path, origin) in enumerate(zip(steps, origins, strict=False))
    ]
    root = graph.build(chains)
    assert root is not None
    heads, seen = [], []
    above: dict[int, str] = {0: ""}  # by lane: the path of the step that was last drawn there
    for line in graph.draw(root, fold=False):
        depth = line.lanes[-1][0]
        if isinstance(line.about, graph.Step):
            path = "/".join(line.about.chain.steps[: line.about.number])
            # What stands above it on its lane is its parent.
            assert path.rpartition("/")[0] == above[depth]
            above[depth] = path
            seen.append(path)
        elif isinstance(line.about, graph.Head):
            assert above[depth] == "/".join(line.about.chain.steps)
            heads.append(line.about.chain.id)
        elif line.about is None:
            above[depth] = above[depth - 1]
    assert sorted(heads) == [chain.id for chain in chains]
    assert len(seen) == len(set(seen))
    assert set(seen) == {"/".join(path[: at + 1]) for path in steps for at in range(len(path))}


def test_forks_of_forks_of_forks() -> None:
    """2,000 of them are drawn, each placed with a few looks and not by following all those above it."""
    chains = [Chain("0000", ("s0",))]
    for number in range(1, 2_000):
        before = chains[-1]
        chains.append(Chain(f"{number:04}", (*before.steps, f"s{number}"), before.id))
    # Each goes on after its fork was made, so that every one has a lane of its own.
    chains = [Chain(chain.id, (*chain.steps, "own"), chain.forked_from) for chain in chains]
    root = graph.build(chains)
    assert root is not None
    assert max(depth for _, depth in root.each()) == 1_999
    assert sum(isinstance(line.about, graph.Head) for line in graph.draw(root)) == 2_000
    assert sum(chain.compared for chain in chains) < 3 * 2_000


def test_order_does_not_matter() -> None:
    chains = [Chain(name, tuple(steps)) for name, steps in [("A", "abc"), ("B", "abd"), ("C", "abde"), ("D", "x")]]
    assert drawn(*chains) == drawn(*reversed(chains))


@pytest.mark.parametrize("glyphs", [graph.UNICODE, graph.ASCII])
def test_glyphs_are_as_wide_as_the_layout_takes_them_to_be(glyphs: graph.Glyphs) -> None:
    assert {len(glyph) for glyph in (glyphs.start, glyphs.step, glyphs.head, glyphs.lane, glyphs.fold)} == {1}
    assert {len(glyph) for glyph in (glyphs.label, glyphs.last_label)} == {2}
    assert {len(glyph) for glyph in (glyphs.fork, glyphs.last_fork)} == {3}
