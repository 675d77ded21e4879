"""`treering thread …`: one file per kind of work; this one only gathers them."""

from typing import Final

import typer

from treering.cli.options import examples
from treering.cli.thread import diff, exchange, fork, listing, log, remove, show

thread_app: Final = typer.Typer(
    name="thread",
    help="Threads: list, read, fork, compare, import and export them.",
    no_args_is_help=True,
    epilog=examples(
        "treering thread list --label reward=0",
        "treering thread log --graph ID",
    ),
)
thread_app.command("list", epilog=listing.EPILOG)(listing.list_threads)
thread_app.command("show", epilog=show.EPILOG)(show.show)
thread_app.command("log", epilog=log.EPILOG)(log.log)
thread_app.command("fork", epilog=fork.EPILOG)(fork.fork)
thread_app.command("diff", epilog=diff.EPILOG)(diff.diff)
thread_app.command("rm", epilog=remove.EPILOG)(remove.rm)
thread_app.command("import", epilog=exchange.IMPORT_EPILOG)(exchange.import_threads)
thread_app.command("export", epilog=exchange.EXPORT_EPILOG)(exchange.export_threads)
