"""What an import of old data says: a line for each file, under it what was changed and left out; what was refused on
stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from treering.cli.render.console import err
from treering.cli.render.text import count, one_line

if TYPE_CHECKING:
    from treering.importing import FileReport, ImportReport, Note

_NOTES_MAX = 50
_FILES_MAX = 500
_NOUNS = {
    "config": "field",
    "actors": "id",
    "memory": "entry",
    "connectors": "connector",
    "roles": "role",
    "chat-index": "row",
    "chat": "message",
    "thread": "step",
}
_STYLES = {"new": "good", "there": "faint", "refused": "bad", "skipped": "faint"}


@contextmanager
def watching(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress bar on stderr while files are taken; None where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with bars:
        bar = bars.add_task(f"importing {one_line(name)}", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def report_record(report: "ImportReport") -> dict[str, Any]:
    """The report for `--json`."""
    counts = {name: getattr(report, name) for name in ("taken", "changed", "left_out", "refused")}
    return {"scope": report.scope, "dry_run": report.dry_run, **counts, "files": [asdict(f) for f in report.files]}


def print_report(console: Console, report: "ImportReport") -> None:
    """The files, what is to be known of each, and a line for all."""
    for file in report.files[:_FILES_MAX]:
        _print_file(console, file)
    if len(report.files) > _FILES_MAX:
        console.print(f"… and {count(len(report.files) - _FILES_MAX, 'more file')}; --json lists all", style="faint")
    new = sum(file.outcome == "new" for file in report.files)
    there = sum(file.outcome == "there" for file in report.files)
    would = "dry run, nothing was written: " if report.dry_run else ""
    line = f"{would}{count(new, 'file')} new, {there:,} there before"
    for number, what in ((report.changed, "changed"), (report.left_out, "left out"), (report.refused, "refused")):
        if number:
            line += f"; {number:,} {what}"
    console.print(line)


def _print_file(console: Console, file: "FileReport") -> None:
    line = Text(f"{file.outcome:8}", _STYLES[file.outcome]).append(one_line(file.path), "key")
    if file.outcome == "new":
        line.append(f"  {_many(file.taken, _NOUNS[file.kind or 'thread'])}")
    if file.outcome == "skipped":
        line.append(f"  {one_line(file.notes[0].reason)}", "faint")
    console.print(line, soft_wrap=True)
    if file.outcome == "skipped":
        return
    notes = [note for note in file.notes if note.what != "refused"]
    for note in notes[:_NOTES_MAX]:
        console.print(Text(f"        {note.what}: ", "faint").append_text(_told(note)), soft_wrap=True)
    if len(notes) > _NOTES_MAX:
        console.print(f"        … and {len(notes) - _NOTES_MAX:,} more; --json lists all", style="faint")


def print_refused(report: "ImportReport") -> None:
    """What was refused on stderr, a line each."""
    console = err()
    refused = [(file, note) for file in report.files for note in file.notes if note.what == "refused"]
    for file, note in refused[:_NOTES_MAX]:
        line = Text("refused: ", "bad").append(one_line(file.path), "key").append(" ").append_text(_told(note))
        console.print(line, soft_wrap=True)
    if len(refused) > _NOTES_MAX:
        console.print(f"… and {len(refused) - _NOTES_MAX:,} more; --json lists all", style="faint")


def _told(note: "Note") -> Text:
    where = f"line {note.line} " if note.line is not None else ""
    times = f" ({note.times:,} times)" if note.times > 1 else ""
    return Text(where).append(one_line(note.path), "key").append(f": {one_line(note.reason)}{times}")


def _many(number: int, noun: str) -> str:
    return f"{number:,} entries" if noun == "entry" and number != 1 else count(number, noun)
