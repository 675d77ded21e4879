"""What an export to a CAR file or an import from one says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from treering.cli.render.console import err
from treering.cli.render.text import count, one_line, size

if TYPE_CHECKING:
    from treering import Exported, Imported


@contextmanager
def watching(what: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress bar on stderr; None where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with bars:
        bar = bars.add_task(one_line(what), total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def exported_record(made: "Exported") -> dict[str, Any]:
    """The export for `--json`."""
    return asdict(made) | {"root": str(made.root)}


def print_exported(console: Console, made: "Exported", file: Path) -> None:
    """Two lines: how much it is, and the root, which proves it."""
    parts = [count(len(made.threads), "thread")]
    others = ((made.actors, "actor"), (made.projections, "projection"), (made.pins, "pin"))
    parts += [count(number, what) for number, what in others if number]
    parts += [count(made.blocks, "block"), count(made.receipts, "receipt")]
    console.print(f"{', '.join(parts)}: {size(made.bytes)} in {one_line(str(file))}", soft_wrap=True)
    if made.receipts_left:
        left = count(made.receipts_left, "receipt")
        console.print(f"{left} left out: nobody can say whether they were there at that moment", soft_wrap=True)
    console.print(f"root {made.root}", style="faint", soft_wrap=True)


def print_imported(console: Console, did: "Imported", scope: str) -> None:
    """A line for what came in, one for each thread that is not as in the file."""
    others = ((did.actors, "actor"), (did.projections, "projection"), (did.pins, "pin"))
    before = [count(len(did.there), "thread")] if did.there or not did.others_there else []
    before += [f"{did.others_there} others"] if did.others_there else []
    if not did.changed and not did.skipped and not did.pins_skipped:
        all_of_it = " and ".join(before)
        console.print(f"nothing new: all {all_of_it} were there; 0 threads, {count(did.new_blocks, 'block')} written")
        return
    parts = [count(len(did.threads), "new thread")]
    parts += [f"{count(len(did.advanced), 'thread')} gone on"] if did.advanced else []
    parts += [count(number, what) for number, what in others if number]
    line = f"{', '.join(parts)}, {count(did.new_blocks, 'block')} written"
    if did.there or did.others_there:
        line += f"; {' and '.join(before)} there before"
    console.print(line)
    for was, now in did.renamed.items():
        console.print(f"renamed: {was} is {now} here")
    for skipped in did.skipped:
        console.print(f"left out: {skipped}, whose id or key another thread has")
    for pin in did.pins_skipped:
        console.print(f"left out: pin {one_line(pin)}, whose name another block has")
    if did.receipts_left:
        why = "" if did.scope == scope else f" (they are of scope {one_line(did.scope)})"
        console.print(f"{count(did.receipts_left, 'command receipt')} could not come along{why}", style="faint")
