"""What a backup, a restore and a copy say: progress while they run, a line at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from treering.cli.render.console import err
from treering.cli.render.text import count, one_line, size

if TYPE_CHECKING:
    from treering import BackupReport, CopyReport, Progress

_STAGES = {
    "start": "waiting",
    "database": "database",
    "files": "large blocks",
    "check": "checking",
    "search": "comparing",
    "blocks": "blocks",
    "refs": "refs",
    "send": "sending",
    "fetch": "fetching",
}


@contextmanager
def watching(what: str) -> Iterator["Callable[[Progress], None] | None"]:
    """A progress bar on stderr, one for each stage; None where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with bars:
        bar = bars.add_task(one_line(what), total=None)

        def show(progress: "Progress") -> None:
            stage = _STAGES.get(progress.stage, progress.stage)
            bars.update(bar, description=f"{one_line(what)}: {stage}", completed=progress.done, total=progress.total)

        yield show


def backup_record(report: "BackupReport") -> dict[str, Any]:
    """The report for `--json`."""
    return asdict(report)


def copy_record(report: "CopyReport") -> dict[str, Any]:
    """The report for `--json`."""
    return asdict(report)


def print_backup(console: Console, report: "BackupReport", *, in_bucket: bool) -> None:
    """One line of what was copied, one of what proves it."""
    if report.incremental and not report.commits and not report.removed_blocks:
        line = f"nothing new: the backup stands at commit {report.position:,}, as the store does"
    else:
        line = f"{'brought up to date' if report.incremental else 'backed up'}: {_copied(report)}"
        if report.removed_blocks:
            line += f"; {count(report.removed_blocks, 'collected block')} removed"
        if report.erased_scopes:
            line += f"; {count(report.erased_scopes, 'erased scope')} removed"
    line += f"; {count(report.checked_blocks, 'block')} checked"
    if in_bucket:
        line += f"; {size(report.sent_bytes)} sent"
    console.print(line)
    if report.objects_left:
        console.print(f"{count(report.objects_left, 'object')} of former backups could not be removed: back up again")
    _print_head(console, report)


def print_restored(console: Console, report: "BackupReport") -> None:
    """One line of what was restored, one of what proves it."""
    left_out = f"; {count(report.erased_scopes, 'erased scope')} left out" if report.erased_scopes else ""
    console.print(f"restored: {_copied(report)}; {count(report.checked_blocks, 'block')} checked{left_out}")
    if report.objects_left:
        console.print(
            f"{count(report.objects_left, 'file')} with what was erased could not be removed: "
            "the next opening for writing tries again"
        )
    _print_head(console, report)


def print_copy(console: Console, report: "CopyReport") -> None:
    """One line of what is new in the target, one of what stayed behind."""
    if not report.refs_new and not report.refs_moved:
        console.print(f"nothing new: all {count(report.refs_there, 'ref')} were there")
    else:
        line = f"copied {count(report.refs_new, 'new ref')}"
        if report.refs_moved:
            line += f", moved {count(report.refs_moved, 'ref')} on"
        line += f", {count(report.blocks, 'block')} ({size(report.bytes)}) written"
        if report.refs_there:
            line += f"; {count(report.refs_there, 'ref')} there before"
        console.print(line)
    if report.receipts_left:
        console.print(
            f"{count(report.receipts_left, 'command receipt')} not copied: a command id that was used in the source "
            "is new in the target",
            style="faint",
            soft_wrap=True,
        )


def _copied(report: "BackupReport") -> str:
    return f"{count(report.commits, 'commit')}, {count(report.blocks, 'block')}, {size(report.copied_bytes)}"


def _print_head(console: Console, report: "BackupReport") -> None:
    console.print(Text("head  ", "faint").append(report.head, "cid"), soft_wrap=True)
