"""`treering verify`."""

from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering verify",
    "treering verify --since HEAD_NOTED_EARLIER",
    "treering verify --repair",
    "treering verify --json",
)


def verify(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="HEAD",
            help="A head noted earlier (treering stats prints it): prove that history up to it is unmodified.",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Mend what the journal, other rows and hashes prove; say what, and what is left."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read everything again and check it: bytes, links, jumps, step numbers, records, refs, the journal's chain.

    Exit code 1 if anything is wrong (with --repair: is left); what is wrong is named with the threads and steps that
    it hurts.
    """
    from treering.cli.render.console import out, print_json
    from treering.cli.render.findings import findings_record, print_findings

    report = opening(context).store(repair=repair).verify(since=since, repair=repair)
    if as_json:
        print_json(findings_record(report))
    else:
        print_findings(out(), report)
    if not report.ok:
        raise typer.Exit(1)
