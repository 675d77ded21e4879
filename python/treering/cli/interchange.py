"""`treering export` and `treering import`: whole scopes, or threads, as CAR files, whole and checked.

(`thread export` and `thread import` are about chat logs.)
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples, input_path

if TYPE_CHECKING:
    from treering import Scope

EXPORT_EPILOG: Final = examples(
    "treering export all.car",
    "treering export bug.car 01KAP3 ticket-812",
    "treering --scope alice export - > alice.car",
)
IMPORT_EPILOG: Final = examples(
    "treering import all.car",
    "treering --store ./other import bug.car --on-conflict rename",
    "treering import - --json < alice.car",
)


class Conflicts(StrEnum):
    """What is done about a thread whose id or key another one has."""

    REFUSE = "refuse"
    RENAME = "rename"
    SKIP = "skip"


def export_car(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", dir_okay=False, help="The file to write; it must not be there. - is stdout."),
    ],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Threads alone; none means the whole scope.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a whole scope to a CAR file (threads, stores, files, projections, pins, receipts), or threads alone.

    The file is the state at one moment, and needs nothing else to be read. Other IPLD tools read it too.
    """
    opened = opening(context)
    write_archive(opened.store().scope(opened.scope), file, ids or None, as_json)


def write_archive(scope: "Scope", file: Path, ids: list[str] | None, as_json: bool) -> None:
    """Exports to a file, or to stdout."""
    from treering.cli.render.interchange import exported_record, print_exported, watching

    if str(file) == "-":
        if sys.stdout.isatty():
            raise CommandError("a CAR file is not for a terminal", "treering export FILE, or > FILE")
        sys.stdout.flush()
        scope.export(sys.stdout.buffer, ids)
        sys.stdout.buffer.flush()
        return
    with watching(f"exporting {file.name}") as progress:
        made = scope.export(file, ids, progress=progress)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(exported_record(made))
    else:
        from treering.cli.render.console import out

        print_exported(out(), made, file)


def import_car(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="A file of treering export; - is stdin.")
    ],
    on_conflict: Annotated[
        Conflicts,
        typer.Option(
            help="A thread (or pin) whose id or key another has: refuse the file, give it another, or leave it out."
        ),
    ] = Conflicts.REFUSE,
    as_json: AsJson = False,
) -> None:
    """Import a CAR file that `treering export` wrote: a whole scope, or threads.

    Everything is checked first; a file that is refused has written nothing. What is here as it is in the file is
    left alone; what is here and went on otherwise refuses the file.
    """
    read_archive(opening(context), None, file, on_conflict, as_json)


def read_archive(opened: Opening, name: str | None, file: Path, on_conflict: Conflicts, as_json: bool) -> None:
    """Imports a file, or stdin, into a scope; None: that of the command line."""
    from treering.cli.render.interchange import print_imported, watching

    given = input_path(file)
    into = opened.scope if name is None else name
    with _seekable(given) as path, watching(f"importing {file.name}") as progress:
        scope = opened.store(create=True).scope(into)
        did = scope.import_car(path, on_conflict=on_conflict.value, progress=progress)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(asdict(did))
    else:
        from treering.cli.render.console import out

        print_imported(out(), did, into)


@contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """The file, or a copy of it if it can only be read once: an import reads it twice."""
    if path.is_file():
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="treering-import-", suffix=".car") as copy, path.open("rb") as source:
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)
