"""The tree of a thread and its forks, with what the drawing needs from the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from treering.cli.render import graph
from treering.cli.render.records import thread_record
from treering.cli.render.steps import shorten, step_line
from treering.cli.render.text import count, value_line
from treering.cli.render.threads import labels_text, name_text, status_text
from treering.errors import LimitExceeded

if TYPE_CHECKING:
    from treering.thread import Thread

_LANE_STYLES = ("yellow", "cyan", "magenta", "green", "blue", "red")
#: Beyond so many lanes the steps no longer stand in one column.
_LANES_ALIGNED_MAX = 8
#: Python's own writer and reader of JSON give up at 1,000, and each fork takes two.
_RECORD_DEPTH_MAX = 400


@dataclass(frozen=True, slots=True)
class ThreadChain:
    """A thread, as the tree sees it."""

    thread: "Thread"

    @property
    def id(self) -> str:
        return self.thread.id

    @property
    def origin(self) -> str | None:
        forked_from = self.thread.forked_from
        return None if forked_from is None else forked_from.thread

    @property
    def last(self) -> int:
        return len(self.thread)

    def cid_at(self, number: int) -> str:
        return str(self.thread.at(number).cid)

    def shared_with(self, other: graph.Chain) -> int:
        if not isinstance(other, ThreadChain):
            return 0
        common = self.thread.common_ancestor(other.thread)
        return 0 if common is None else common.number


def forest(threads: Iterable["Thread"], of: "Thread | None" = None) -> list["Tree"]:
    """The trees of threads, the oldest first; only the one that a thread is in, if one is given.

    Threads are in one tree if they have the same start node. A corrupt thread is in none: its chain can't be read.
    """
    wanted = None if of is None else of.start.cid
    by_start: dict[Any, list[ThreadChain]] = {}
    for thread in threads:
        if thread.status == "corrupt":
            continue
        start = thread.start.cid
        if wanted is None or start == wanted:
            by_start.setdefault(start, []).append(ThreadChain(thread))
    roots = (graph.build(chains) for chains in by_start.values())
    return [Tree(root) for root in roots if root is not None]


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: a trunk and its branches."""

    root: graph.Branch[ThreadChain]

    def print(self, console: Console, *, fold: bool = True) -> None:
        """Draws it, the start on top."""
        glyphs = graph.UNICODE if _has_box_characters(console) else graph.ASCII
        deepest = max(depth for branch, depth in self.root.each() if depth == 0 or not branch.is_resting)
        lanes = min(1 + deepest, _LANES_ALIGNED_MAX)
        number_width = len(str(max(branch.chain.last for branch, _ in self.root.each())))
        for line in graph.draw(self.root, glyphs, fold=fold):
            text = Text()
            # What is beyond the console's width would be cut off.
            for depth, lane in line.lanes[: console.width]:
                text.append(lane, _LANE_STYLES[depth % len(_LANE_STYLES)])
            self._describe(text, line.about, console.width, 2 * lanes, number_width)
            text.rstrip()
            console.print(text, no_wrap=True, overflow="ellipsis")

    def record(self) -> dict[str, Any]:
        """The tree for `--json`: each thread with the step where it leaves its parent, and its own forks.

        Errors:
            LimitExceeded (`limit-exceeded`): more forks of forks than readers of JSON can follow.
        """
        above: list[dict[str, Any]] = []
        for branch, depth in self.root.each():
            if depth >= _RECORD_DEPTH_MAX:
                raise LimitExceeded(
                    f"forks of forks of {above[0]['id']} are nested more than {_RECORD_DEPTH_MAX} deep; "
                    "`treering thread list --json` says of each what it was forked from"
                )
            record = {**thread_record(branch.chain.thread), "branches_at": branch.attach, "forks": []}
            del above[depth:]
            if above:
                above[-1]["forks"].append(record)
            above.append(record)
        return above[0]

    def _describe(self, text: Text, about: object, width: int, column: int, number_width: int) -> None:
        if about is None:
            return
        if not isinstance(about, graph.Head):
            text.pad_right(max(0, column - text.cell_len))
        match about:
            case graph.Start():
                start = self.root.chain.thread
                text.append(" " * number_width + "start" if number_width > 5 else "start", "title")
                prompt = start.prompt
                said = "" if prompt is None else value_line(prompt)
                text.append(f"  {start.workflow}", "role.other")
                text.append_text(shorten(Text(f"  {said}", "faint"), max(0, width - text.cell_len)))
            case graph.Step(chain, number):
                assert isinstance(chain, ThreadChain)
                step = chain.thread.at(number)
                text.append_text(step_line(step, width - text.cell_len, number_width=number_width))
            case graph.Fold(first, last):
                text.append(f"{'':>{number_width}}  … {count(last - first + 1, 'step')}, {first} to {last}", "faint")
            case graph.Head(chain):
                assert isinstance(chain, ThreadChain)
                text.append_text(shorten(_head(chain.thread), max(0, width - text.cell_len)))


def _head(thread: "Thread") -> Text:
    head = Text(thread.id, "id")
    for part in (name_text(thread), status_text(thread.status), labels_text(thread)):
        if part.plain:
            head.append("  ").append_text(part)
    return head


def _has_box_characters(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
