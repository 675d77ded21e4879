"""What was erased, and what a vacuum gave back, on the terminal and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from treering.cli.render.text import count, one_line, size
from treering.erasure import Erased, Erasure, Vacuumed

_SCOPES_MAX = 10


def erased_record(erased: Erased, dry_run: bool) -> dict[str, Any]:
    """Returns it as JSON has it."""
    return {**asdict(erased), "held_by": list(erased.held_by), "dry_run": dry_run}


def print_erased(console: Console, name: str, erased: Erased, dry_run: bool) -> None:
    """Prints what went, and what stays because others hold it."""
    done = "would be erased" if dry_run else "was erased before" if erased.replayed else "erased"
    figures = ", ".join(
        (
            count(erased.refs, "ref"),
            count(erased.receipts, "receipt"),
            count(erased.holds, "hold"),
            count(erased.leases, "lease"),
            count(erased.commits, "commit"),
        )
    )
    console.print(f"{done}: {one_line(name)}: {figures}", markup=False, highlight=False, soft_wrap=True)
    stay = f"{count(erased.held_blocks, 'block')} of {erased.blocks} stay"
    if erased.held_by:
        shown = ", ".join(map(one_line, erased.held_by[:_SCOPES_MAX]))
        more = len(erased.held_by) - _SCOPES_MAX
        stay += f", held by {shown}" + (f" and {more} more" if more > 0 else "")
    if erased.held_blocks:
        console.print(stay, markup=False, highlight=False, soft_wrap=True)
    for warning in erased.warnings:
        console.print(one_line(warning), markup=False, highlight=False, soft_wrap=True)


def note_record(note: Erasure) -> dict[str, Any]:
    """Returns a note as JSON has it."""
    return {**asdict(note), "scope": note.scope.hex()}


def print_notes(console: Console, notes: Sequence[Erasure]) -> None:
    """Prints a line for each note."""
    for note in notes:
        at = note.at.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{at}  {note.scope.hex()[:12]}  {count(note.refs, 'ref')}, {count(note.commits, 'commit')}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def vacuumed_record(done: Vacuumed) -> dict[str, Any]:
    """Returns it as JSON has it."""
    return asdict(done)


def print_vacuumed(console: Console, errors: Console, done: Vacuumed) -> None:
    """Prints what was given back, and what kept the rest."""
    console.print(
        f"given back: {size(done.freed_bytes)}; the database has {size(done.database_bytes)}", highlight=False
    )
    for left, why in (
        (done.log_bytes, f"{size(done.log_bytes)} of the log stay: somebody reads from it; again later"),
        (done.free_bytes, f"{size(done.free_bytes)} are free again: others wrote meanwhile"),
        (done.dead_blocks, f"{count(done.dead_blocks, 'collected block')} not deleted yet: run treering gc"),
        (done.unfinished_erases, f"{count(done.unfinished_erases, 'erase')} can't end: run treering verify --repair"),
        (done.files_left, f"{count(done.files_left, 'file')} without a row: gc removes them when a day old"),
    ):
        if left:
            errors.print(why, highlight=False)
