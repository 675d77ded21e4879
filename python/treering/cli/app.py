"""The command tree, and the one place where a command's outcome becomes an exit code."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.main import get_command

from treering.cli import (
    actor,
    backup,
    block,
    catalogs,
    copy,
    demo,
    files,
    gc,
    hold,
    import_json,
    interchange,
    pin,
    ref,
    scope,
    stats,
    trimming,
    vacuum,
    verify,
)
from treering.cli.exits import UsageError, complain, explain, is_bare
from treering.cli.journal import journal_app
from treering.cli.opening import Opening
from treering.cli.options import examples
from treering.cli.thread import thread_app

_EPILOG = examples(
    "treering demo",
    "treering thread import chats.json",
    "treering thread log --graph ID",
)

app: Final = typer.Typer(
    name="treering",
    help="Durable, forkable, verifiable state for agents and workflows.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from treering import __version__

        typer.echo(f"treering {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    store: Annotated[
        Path, typer.Option("--store", envvar="TREERING_STORE", help="The store's directory.", metavar="PATH")
    ] = Path(".treering"),
    scope_name: Annotated[
        str,
        typer.Option(
            "--scope", envvar="TREERING_SCOPE", help="The scope whose threads and actors are meant.", metavar="NAME"
        ),
    ] = "main",
    blobs: Annotated[
        str | None,
        typer.Option(
            "--blobs",
            envvar="TREERING_BLOBS",
            help="The bucket for the large blocks of a store that is made now, s3://BUCKET/PREFIX; it remembers that.",
            metavar="URL",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = Opening(store, scope_name, blobs)
    context.call_on_close(context.obj.close)


app.add_typer(thread_app)
app.add_typer(scope.scope_app)
app.add_typer(actor.actor_app)
app.add_typer(catalogs.connectors_app)
app.add_typer(catalogs.roles_app)
app.add_typer(files.files_app)
app.add_typer(block.block_app)
app.add_typer(ref.ref_app)
app.add_typer(pin.pin_app)
app.add_typer(hold.hold_app)
app.command("trim", epilog=trimming.TRIM_ALL)(trimming.trim_all)
app.command("gc", epilog=gc.EPILOG)(gc.gc)
app.command("vacuum", epilog=vacuum.EPILOG)(vacuum.vacuum)
app.add_typer(journal_app)
app.command("verify", epilog=verify.EPILOG)(verify.verify)
app.command("stats", epilog=stats.EPILOG)(stats.stats)
app.command("export", epilog=interchange.EXPORT_EPILOG)(interchange.export_car)
app.command("import", epilog=interchange.IMPORT_EPILOG)(interchange.import_car)
app.command("import-json", epilog=import_json.EPILOG)(import_json.import_json)
app.command("backup", epilog=backup.BACKUP_EPILOG)(backup.backup)
app.command("restore", epilog=backup.RESTORE_EPILOG)(backup.restore)
app.command("copy", epilog=copy.EPILOG)(copy.copy)
app.command("demo", epilog=demo.EPILOG)(demo.demo)


def invoke(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    from treering.errors import TreeringError

    try:
        code = get_command(app).main(args=arguments, prog_name="treering", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        # A group without a command has shown its help: nothing to add.
        if not is_bare(error):
            complain(error.format_message(), _usage_hint(error))
        return 2
    except SystemExit as stop:
        # The reader of our output (`| head`) has seen enough and left.
        code = stop.code
    except BrokenPipeError:
        # The same, noticed at the last flush. Python would notice it once more while it exits.
        sys.stdout = None
        return 1
    except typer.Abort:
        complain("not confirmed", None)
        return 1
    except KeyboardInterrupt:
        return 130
    except (TreeringError, OSError, UnicodeError) as error:
        explain(error)
        return 1
    return code if isinstance(code, int) else 0


def _usage_hint(error: UsageError) -> str | None:
    context = getattr(error, "ctx", None)
    return None if context is None else f"{context.command_path} --help"
