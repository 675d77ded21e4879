"""What an import says: progress while it runs, a report at its end, the records it refused."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from treering.cli.render.console import err
from treering.cli.render.text import count, one_line

if TYPE_CHECKING:
    from treering.chat import ImportReport, Progress

_REFUSED_MAX = 50


@contextmanager
def watching(name: str) -> Iterator["Callable[[Progress], None] | None"]:
    """A progress bar on stderr while an import runs; None where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with bars:
        bar = bars.add_task(f"importing {one_line(name)}", total=None)
        yield lambda progress: bars.update(bar, completed=progress.done, total=progress.total)


def report_record(report: "ImportReport") -> dict[str, Any]:
    """The report for `--json`."""
    return {
        "records": report.records,
        "threads_new": report.threads_new,
        "threads_there": report.threads_there,
        "steps": report.steps,
        "blocks_written": report.blocks_written,
        "refused": [
            {"record": refusal.record, "line": refusal.line, "path": refusal.path, "reason": refusal.reason}
            for refusal in report.refused
        ],
    }


def print_report(console: Console, report: "ImportReport") -> None:
    """One line: what came in, what was there before."""
    if report.threads_new == 0 and report.threads_there > 0 and not report.refused:
        console.print(
            f"nothing new: all {count(report.threads_there, 'thread')} were there; "
            f"0 threads, {count(report.blocks_written, 'block')} written"
        )
        return
    line = (
        f"{count(report.records, 'record')}: {count(report.threads_new, 'new thread')}, "
        f"{count(report.steps, 'step')}, {count(report.blocks_written, 'block')} written"
    )
    if report.threads_there:
        line += f"; {count(report.threads_there, 'thread')} there before"
    if report.refused:
        line += f"; {count(len(report.refused), 'record')} refused"
    console.print(line)


def print_refused(report: "ImportReport") -> None:
    """The refused records on stderr, a line each."""
    console = err()
    for refusal in report.refused[:_REFUSED_MAX]:
        line = Text("refused: ", "bad").append(f"record {refusal.record} at ")
        line.append(one_line(refusal.path), "key").append(f": {one_line(refusal.reason)}")
        console.print(line, soft_wrap=True)
    if len(report.refused) > _REFUSED_MAX:
        console.print(f"… and {len(report.refused) - _REFUSED_MAX:,} more; --json lists all", style="faint")


def print_left_out(left_out: Counter[str]) -> None:
    """One line on stderr about what chat records have no place for; nothing where nothing was left out."""
    if left_out:
        what = ", ".join(count(number, noun) for noun, number in left_out.items())
        err().print(f"left out, chat records have no place for it: {what}; treering export keeps all", soft_wrap=True)
