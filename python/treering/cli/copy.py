"""`treering copy`: from one store into another."""

from pathlib import Path
from typing import Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering copy ./state ./all",
    "treering copy ./state ./all --rename main=alice",
)


def copy(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The store to copy, or a backup.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The store that it goes into; made if it is absent.")],
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="SCOPE=NEW", help="Give a scope another name in DST. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy every thread, pin and other ref of a store into another one, with all blocks that they reach.

    What DST has already is left out, so the command may be repeated. A ref of DST that stands where SRC's never stood
    stops it before anything is written. Command receipts are not copied.
    """
    import treering
    from treering.cli.render.backup import copy_record, print_copy, watching
    from treering.cli.render.console import out, print_json

    scopes = _pairs(rename)
    if not source.exists():
        raise CommandError(f"no store: {source} is not there")
    with (
        treering.open(source, create=False, read_only=True) as from_store,
        treering.open(target) as to_store,
        watching(f"copying {source}") as progress,
    ):
        report = from_store.copy_to(to_store, rename=scopes, progress=progress)
    if as_json:
        print_json(copy_record(report))
    else:
        print_copy(out(), report)


def _pairs(rename: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in rename or ():
        old, equals, new = text.partition("=")
        if not equals or not old or not new:
            raise typer.BadParameter(f"{text!r} is not SCOPE=NEW", param_hint="--rename")
        pairs[old] = new
    return pairs
