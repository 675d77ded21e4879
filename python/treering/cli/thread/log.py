"""`treering thread log`."""

from typing import Annotated, Final

import typer

from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering thread log 01KAP3 --last 3",
    "treering thread log ticket-812 --reverse --full",
    "treering thread log --graph 01KAP3",
)


def log(
    context: typer.Context,
    thread_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="A thread: its id, the beginning of it, or its key; with --graph none means all.",
        ),
    ] = None,
    graph: Annotated[bool, typer.Option("--graph", "-g", help="Draw the thread and its forks as a tree.")] = False,
    first: Annotated[int, typer.Option(min=1, help="Begin at this step.")] = 1,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last so many steps.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The newest step first.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Every line of a step; with --graph every step.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a thread's steps, or draw it with its forks."""
    chosen = opening(context)
    if graph:
        if last is not None or reverse or first != 1:
            raise typer.BadParameter("--graph draws whole threads; --first, --last and --reverse don't go with it")
        _graph(chosen, thread_id, full=full, as_json=as_json)
        return
    if thread_id is None:
        raise typer.BadParameter("which thread? only --graph goes without an ID", param_hint="ID")
    thread = chosen.thread(thread_id)
    if last is not None:
        first = max(first, len(thread) - last + 1)
    steps = thread.steps(first, reverse=reverse)
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.records import step_record

        print_json_array(step_record(step) for step in steps)
        return
    from treering.cli.render.console import out
    from treering.cli.render.steps import print_step

    console = out()
    for step in steps:
        print_step(console, step, full=full)


def _graph(chosen: Opening, thread_id: str | None, *, full: bool, as_json: bool) -> None:
    from treering.cli.render.forest import forest

    threads = chosen.threads()
    trees = forest(threads.list(), None if thread_id is None else threads.get(thread_id))
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array(tree.record() for tree in trees)
        return
    from treering.cli.render.console import err, out

    console = out()
    for number, tree in enumerate(trees):
        if number:
            console.print()
        tree.print(console, fold=not full)
    if not trees:
        err().print("no threads yet", style="faint")
