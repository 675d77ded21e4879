"""`treering gc`: delete what nothing reaches."""

from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering gc --dry-run",
    "treering gc",
    "treering --store ./state gc --json",
)


def gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing; say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the blocks that no thread, no pin and no hold reaches. Writers go on meanwhile.

    It may be stopped at any moment; the next one does the rest.
    """
    from treering.cli.render.console import out, print_json
    from treering.cli.render.keeping import collecting, print_report, report_record

    store = opening(context).store(write=not dry_run)
    with collecting():
        report = store.gc(dry_run=dry_run)
    if as_json:
        print_json(report_record(report))
    else:
        print_report(out(), report)
