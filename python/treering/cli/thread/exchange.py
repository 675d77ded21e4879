"""`treering thread import` and `treering thread export`."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples, input_path

if TYPE_CHECKING:
    from treering.thread import Thread

IMPORT_EPILOG: Final = examples(
    "treering thread import conversations.json",
    "treering thread import runs.jsonl --json",
)
EXPORT_EPILOG: Final = examples(
    "treering thread export --all -o conversations.json",
    "treering thread export 01KAP3",
    "treering thread export --all --format json | head -1",
)


class Format(StrEnum):
    """What an export is made of."""

    CHAT = "chat"
    JSON = "json"


def import_threads(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", dir_okay=False, help="A JSON array or JSON Lines; - is stdin."),
    ],
    as_json: AsJson = False,
) -> None:
    """Import chat logs: each record with a list of messages becomes a thread.

    A record that can't be kept is named on stderr while the others go in; the exit code is 1 then. Records that were
    imported before are left alone.
    """
    from treering import chat
    from treering.cli.render.exchange import print_refused, print_report, report_record, watching

    path = input_path(file)
    with chat.open_log(path) as log:
        # Only now: a file that is no chat log makes no store.
        threads = opening(context).threads(create=True)
        with watching(path.name) as progress:
            report = chat.import_log(threads, log, progress=progress)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(report_record(report))
    else:
        from treering.cli.render.console import out

        print_report(out(), report)
    if report.refused:
        print_refused(report)
        raise typer.Exit(1)


def export_threads(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Threads, in the order wanted.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every thread of the scope, the oldest first.")] = False,
    form: Annotated[
        Format,
        typer.Option(
            "--format", help="chat: the records that an import reads. json: nodes as DAG-JSON, one thread a line."
        ),
    ] = Format.CHAT,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", dir_okay=False, help="Write to this file; - is stdout."),
    ] = None,
) -> None:
    """Export threads, rebuilt from their nodes."""
    if bool(ids) == everything:
        raise typer.BadParameter("name the threads, or say --all", param_hint="ID")
    threads = opening(context).threads()
    chosen = threads.list() if everything else [threads.get(thread_id) for thread_id in ids or ()]
    with _writing(output) as file:
        if form is Format.CHAT:
            _write_chat(file, chosen)
        else:
            _write_nodes(file, chosen)


def _write_chat(file: TextIO, threads: "list[Thread]") -> None:
    from treering import chat
    from treering.cli.render.exchange import print_left_out

    before = "[\n"
    left_out: Counter[str] = Counter()
    for thread in threads:
        file.write(before + chat.chat_json(chat.export_thread(thread, left_out=left_out)))
        before = ",\n"
    file.write("\n]\n" if threads else "[]\n")
    print_left_out(left_out)


def _write_nodes(file: TextIO, threads: "list[Thread]") -> None:
    from treering import chat

    file.writelines(chat.nodes_json(thread) + "\n" for thread in threads)


@contextmanager
def _writing(path: Path | None) -> Iterator[TextIO]:
    """A file that appears whole or not at all; stdout where there is no path; a device or pipe as it is."""
    if path is None or str(path) == "-":
        from treering.cli.render.console import data_stream

        with data_stream() as stream:
            yield stream
        return
    path = path.resolve()
    if path.exists() and not path.is_file():
        # What replaces a file would put one in the place of /dev/null.
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    if not path.parent.is_dir():
        raise CommandError(f"no such directory: {path.parent}")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=True)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield file
        # mkstemp made it for its owner alone; give it what any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
