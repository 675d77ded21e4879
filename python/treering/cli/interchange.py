"""`treering export` and `treering import`: threads as CAR files, whole and checked.

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
from typing import Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples, input_path

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
        list[str] | None, typer.Argument(metavar="[ID]…", help="Threads; none means all of the scope.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export threads to a CAR file: their steps, artifacts, records and command receipts.

    The file is the state at one moment, and needs nothing else to be read. Other IPLD tools read it too.
    """
    from treering.cli.render.interchange import exported_record, print_exported, watching

    opened = opening(context)
    scope = opened.store().scope(opened.scope)
    if str(file) == "-":
        if sys.stdout.isatty():
            raise CommandError("a CAR file is not for a terminal", "treering export FILE, or > FILE")
        sys.stdout.flush()
        scope.export(sys.stdout.buffer, ids or None)
        sys.stdout.buffer.flush()
        return
    with watching(f"exporting {file.name}") as progress:
        made = scope.export(file, ids or None, progress=progress)
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
            help="A thread whose id or key another one has here: refuse the file, give it another, or leave it out."
        ),
    ] = Conflicts.REFUSE,
    as_json: AsJson = False,
) -> None:
    """Import the threads of a CAR file that `treering export` wrote.

    Every block is checked first; a file that is refused has written nothing. Threads that are here already are left
    alone.
    """
    from treering.cli.render.interchange import print_imported, watching

    given = input_path(file)
    opened = opening(context)
    with _seekable(given) as path, watching(f"importing {file.name}") as progress:
        scope = opened.store(create=True).scope(opened.scope)
        did = scope.import_car(path, on_conflict=on_conflict.value, progress=progress)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(asdict(did))
    else:
        from treering.cli.render.console import out

        print_imported(out(), did, opened.scope)


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
