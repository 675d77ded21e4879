"""`treering hold …`: blocks that are kept for a time."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.block import CidArgument
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import Hold

hold_app: Final = typer.Typer(
    name="hold",
    help="Holds: blocks that are kept for a time, with all that they link to. A put holds for 24 hours.",
    no_args_is_help=True,
    epilog=examples(
        "treering hold list",
        "treering hold add bafkr4ib5x3d --hours 72",
        "treering hold release --all",
    ),
)
Hours = Annotated[float, typer.Option(min=0, metavar="HOURS", help="How long from now, at least.")]


@hold_app.command("list", epilog=examples("treering hold list", "treering --scope alice hold list --json"))
def list_holds(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scope's holds in the order in which their blocks were put."""
    chosen = opening(context)
    holds = chosen.store().scope(chosen.scope).holds()
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.keeping import hold_record

        print_json_array(hold_record(hold) for hold in holds)
        return
    from treering.cli.render.console import err, out
    from treering.cli.render.keeping import print_holds

    found = list(holds)
    if found:
        print_holds(out(), found)
    else:
        err().print("no holds", style="faint")


@hold_app.command("add", epilog=examples("treering hold add bafkr4ib5x3d", "treering hold add CID --hours 72 --json"))
def add(context: typer.Context, cid: CidArgument, hours: Hours = 24.0, as_json: AsJson = False) -> None:
    """Hold a block for so long from now, and print when that ends. A longer hold stays as it is."""
    _say(_hold(context, cid, hours), as_json)


@hold_app.command("extend", epilog=examples("treering hold extend bafkr4ib5x3d --hours 72"))
def extend(context: typer.Context, cid: CidArgument, hours: Hours = 24.0, as_json: AsJson = False) -> None:
    """Let a block's hold last for so long from now, and print when that ends; there must be one."""
    from treering.errors import NotFound

    chosen = opening(context)
    store = chosen.store(write=True)
    found = store.blocks.resolve(cid)
    if not any(hold.cid == found for hold in store.scope(chosen.scope).holds()):
        raise NotFound(f"scope {chosen.scope} does not hold {found}; treering hold add does", cid=found)
    _say(_hold(context, cid, hours), as_json)


@hold_app.command("release", epilog=examples("treering hold release bafkr4ib5x3d", "treering hold release --all"))
def release(
    context: typer.Context,
    cid: Annotated[str | None, typer.Argument(metavar="[CID]", help="A CID, or the beginning of one.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every hold of the scope.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a block's hold now, or all holds of the scope. What nothing else keeps goes with the next collection.

    A put holds its block for 24 hours: who is about to link to it loses it with --all.
    """
    from treering.cli.render.console import say
    from treering.errors import NotFound

    if (cid is not None) == everything:
        raise typer.BadParameter("name a block, or say --all", param_hint="CID")
    chosen = opening(context)
    store = chosen.store(write=True)
    if cid is None:
        released = sum(hold.release() for hold in list(store.scope(chosen.scope).holds()))
        say(str(released), {"released": released}, as_json)
        return
    found = store.blocks.resolve(cid)
    # Looked for, since to take a hold would make one.
    held = next((hold for hold in store.scope(chosen.scope).holds() if hold.cid == found), None)
    if held is None or not held.release():
        raise NotFound(f"scope {chosen.scope} does not hold {found}", cid=found)
    say(str(found), {"released": 1, "cid": str(found)}, as_json)


def _hold(context: typer.Context, cid: str, hours: float) -> "Hold":
    chosen = opening(context)
    return chosen.store(write=True).scope(chosen.scope).hold(cid, hours)


def _say(hold: "Hold", as_json: bool) -> None:
    from treering.cli.render.keeping import hold_record

    if as_json:
        from treering.cli.render.console import print_json

        print_json(hold_record(hold))
    else:
        typer.echo(f"{hold.cid}  until {hold.expires_at:%Y-%m-%d %H:%M:%S} UTC")
