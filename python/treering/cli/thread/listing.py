"""`treering thread list`."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, Labels, examples, parse_labels

EPILOG: Final = examples(
    "treering thread list --status failed",
    "treering thread list --label reward=0 --label task_id=3",
    "treering thread list --day 2026-11-22 --json",
)


class StatusName(StrEnum):
    """The statuses that a thread can be listed by."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    CORRUPT = "corrupt"


def list_threads(
    context: typer.Context,
    status: Annotated[StatusName | None, typer.Option(help="Only threads of this status.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Only threads completed or cancelled on this day (UTC).")
    ] = None,
    label: Labels = None,
    as_json: AsJson = False,
) -> None:
    """List threads, the oldest first."""
    labels = parse_labels(label)
    found = (
        opening(context)
        .threads()
        .list(status=None if status is None else status.value, workflow=workflow, day=day, labels=labels or None)
    )
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.records import thread_record

        print_json_array(thread_record(thread) for thread in found)
        return
    from treering.cli.render.console import err, out
    from treering.cli.render.threads import print_threads

    filtered = any(given is not None for given in (status, workflow, day)) or label
    if found:
        print_threads(out(), found)
    else:
        err().print("no threads" + (" match" if filtered else " yet"), style="faint")
