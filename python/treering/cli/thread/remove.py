"""`treering thread rm`."""

import sys
from typing import Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, ThreadId, examples

EPILOG: Final = examples(
    "treering thread rm 01KAP3",
    "treering thread rm ticket-812 --yes --gc",
)


def rm(
    context: typer.Context,
    thread_id: ThreadId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also if it is running.")] = False,
    collect: Annotated[bool, typer.Option("--gc", help="Collect garbage afterwards, the whole store's.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a thread's record. Forks of it keep every step they share; its blocks stay until they are collected."""
    thread = opening(context).thread(thread_id, write=True)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise CommandError(f"not removed: {thread.id}; nobody is there to ask", "pass --yes")
        name = thread.id if thread.key is None else f"{thread.id} ({thread.key})"
        if not typer.confirm(f"Remove thread {name} with {len(thread)} steps?", err=True):
            raise typer.Exit(1)
    thread.rm(force=force)
    from treering.cli.render.console import say

    say(thread.id, {"id": thread.id}, as_json)
    if collect:
        from treering.cli.render.console import err
        from treering.cli.render.keeping import collecting, print_report

        with collecting():
            report = opening(context).store(write=True).gc()
        # The id alone is on stdout, as without it.
        print_report(err(), report)
