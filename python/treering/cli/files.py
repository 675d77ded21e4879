"""`treering files …`: files of a scope, by path."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples, input_path

if TYPE_CHECKING:
    from treering import FilesStore

files_app: Final = typer.Typer(
    name="files",
    help="Files of a scope, by path; workflows/ and scripts/ show those stores.",
    no_args_is_help=True,
    epilog=examples(
        "treering files put report.pdf reports/2026.pdf",
        "treering files list reports/",
        "treering files grep 'todo|fixme' '**/*.md'",
    ),
)
FilePath = Annotated[
    str, typer.Argument(metavar="PATH", help="A path as urllib.parse.quote writes it: a space is %20.")
]


def _files(context: typer.Context) -> "FilesStore":
    chosen = opening(context)
    return chosen.store().scope(chosen.scope).files


@files_app.command(
    "put",
    epilog=examples(
        "treering files put report.pdf reports/2026.pdf",
        "make-report | treering files put - reports/today.html --type text/html",
        "treering files put big.bin data/big.bin --max-bytes 4000000000",
    ),
)
def put(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="What to put; - is stdin.")],
    path: FilePath,
    content_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Its media type; else the ending of PATH tells it.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Refuse more than so many bytes; 50 MiB unless it is given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a file under a path, in the place of what was there. Its past stays: see `treering actor events files`."""
    from treering import Settings
    from treering.cli.render.console import say
    from treering.cli.render.records import message_record

    settings = Settings() if max_bytes is None else Settings(file_bytes=max_bytes)
    chosen = opening(context)
    with input_path(file).open("rb") as source:
        receipt = chosen.store(create=True, settings=settings).scope(chosen.scope).files.put(path, source, content_type)
    info = receipt.value
    if info is None:
        raise CommandError(f"{path} was changed again at once", "treering files stat PATH shows what is there")
    record = {**message_record(info), "version": receipt.version, "changed": receipt.changed}
    say(f"{info.path}  {info.size:,} bytes  {info.content_type}  {info.content}", record, as_json)


@files_app.command(
    "get",
    epilog=examples(
        "treering files get reports/2026.pdf report.pdf",
        "treering files get notes/today.md",
        "treering files get notes/today.md --at 3",
    ),
)
def get(
    context: typer.Context,
    path: FilePath,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", dir_okay=False, help="The file to write; default, and -: stdout.")
    ] = None,
    at: Annotated[int | None, typer.Option(min=0, help="As it was at a version of the files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a file's bytes, each checked, to a file that is not there yet, or to stdout."""
    to_stdout = file is None or str(file) == "-"
    if to_stdout and as_json:
        raise typer.BadParameter("--json says what was written to FILE; stdout has the bytes")
    with _files(context).open(path, version=at) as source:
        if to_stdout:
            sys.stdout.flush()
            for piece in source.chunks():
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        assert file is not None
        if file.exists():
            raise CommandError(f"{file} is there already", "name another file, or remove it first")
        # Under its name only when it is whole.
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as target:
                for piece in source.chunks():
                    target.write(piece)
            os.link(part, file)
        finally:
            part.unlink(missing_ok=True)
        info = source.info
    from treering.cli.render.console import say
    from treering.cli.render.records import message_record

    say(f"{file}  {info.size:,} bytes  {info.content_type}", message_record(info), as_json)


@files_app.command(
    "stat", epilog=examples("treering files stat reports/2026.pdf", "treering files stat reports/2026.pdf --json")
)
def stat(
    context: typer.Context,
    path: FilePath,
    at: Annotated[int | None, typer.Option(min=0, help="As it was at a version of the files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is known of a file: size, type, when it was put, CID."""
    info = _files(context).stat(path, version=at)
    if info is None:
        raise CommandError(f"no file {path}", "treering files list shows the files there are")
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import message_record

        print_json(message_record(info))
        return
    from treering.cli.render.console import out
    from treering.cli.render.files import print_file

    print_file(out(), info)


@files_app.command("list", epilog=examples("treering files list", "treering files list reports/ --json"))
def list_files(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only paths that begin so.")] = "",
    as_json: AsJson = False,
) -> None:
    """List files by path: size, when they were put, type."""
    found = _files(context).list(prefix)
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.records import message_record

        print_json_array(map(message_record, found))
        return
    from treering.cli.render.console import err, out
    from treering.cli.render.files import print_files

    if found:
        print_files(out(), found)
    else:
        err().print("no files yet" if not prefix else f"no files at {prefix}…", style="faint", markup=False)


@files_app.command("rm", epilog=examples("treering files rm reports/2026.pdf", "treering files rm old.txt --json"))
def remove(context: typer.Context, path: FilePath, as_json: AsJson = False) -> None:
    """Delete a file. Its past stays, and with it the bytes: `treering actor trim files` gives them up."""
    chosen = opening(context)
    receipt = chosen.store(write=True).scope(chosen.scope).files.delete(path)
    if not receipt.changed:
        raise CommandError(f"no file {path}", "treering files list shows the files there are")
    from treering.cli.render.console import say

    say(f"deleted {path}", {"path": path, "version": receipt.version}, as_json)


@files_app.command(
    "grep",
    epilog=examples(
        "treering files grep todo",
        "treering files grep 'todo|fixme' '**/*.md' --max 100 --json",
    ),
)
def grep(
    context: typer.Context,
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="A regular expression, without regard to case; else a literal text."),
    ],
    glob: Annotated[
        str, typer.Argument(metavar="[GLOB]", help="Which paths: ** any text, * without a slash, ? one character.")
    ] = "**",
    most: Annotated[int, typer.Option("--max", min=1, max=100, help="At most so many lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Print lines of text files that a pattern is found in: path, number of the line, line."""
    found = _files(context).grep(pattern, glob, most)
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array({"path": one.path, "line": one.line, "text": one.text} for one in found)
        return
    from treering.cli.render.console import err, out
    from treering.cli.render.files import print_match

    for one in found:
        print_match(out(), one)
    if not found:
        err().print("nothing found", style="faint")
