"""`treering thread show`."""

from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, ThreadId, examples

EPILOG: Final = examples(
    "treering thread show 01KAP3",
    "treering thread show ticket-812 --last 5 --json",
)


def show(
    context: typer.Context,
    thread_id: ThreadId,
    last: Annotated[int | None, typer.Option(min=0, help="Show only the last so many steps of the context.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a thread's record and the context that an agent would be given."""
    thread = opening(context).thread(thread_id)
    found = thread.context(last=last)
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import context_record, thread_record

        print_json({**thread_record(thread), "start": str(found.start.cid), "context": context_record(found)})
        return
    from treering.cli.render.console import out
    from treering.cli.render.threads import print_thread

    print_thread(out(), thread, found)
