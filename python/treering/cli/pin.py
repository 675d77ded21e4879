"""`treering pin …`: names that keep blocks."""

from typing import Annotated, Final

import typer

from treering.cli.block import CidArgument
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

pin_app: Final = typer.Typer(
    name="pin",
    help="Pins: names that keep a block and all that it links to, until they are removed.",
    no_args_is_help=True,
    epilog=examples(
        "treering pin add release-1 bafyr4iaq2m7c",
        "treering pin list",
    ),
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The pin's name, unique in the scope.")]


@pin_app.command("list", epilog=examples("treering pin list", "treering --scope alice pin list --json"))
def list_pins(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scope's pins by name."""
    chosen = opening(context)
    pins = chosen.store().scope(chosen.scope).pins.list()
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array({"name": name, "cid": str(cid)} for name, cid in pins.items())
        return
    from treering.cli.render.console import err, out
    from treering.cli.render.keeping import print_pins

    if pins:
        print_pins(out(), pins)
    else:
        err().print("no pins yet", style="faint")


@pin_app.command("add", epilog=examples("treering pin add release-1 bafyr4iaq2m7c"))
def add(context: typer.Context, name: Name, cid: CidArgument, as_json: AsJson = False) -> None:
    """Pin a block under a name, and print its CID. A name that is there is moved."""
    chosen = opening(context)
    store = chosen.store(write=True)
    found = store.blocks.resolve(cid)
    store.scope(chosen.scope).pins.add(name, found)
    from treering.cli.render.console import say

    say(str(found), {"name": name, "cid": str(found)}, as_json)


@pin_app.command("rm", epilog=examples("treering pin rm release-1"))
def rm(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Remove a pin. Its block stays until it is collected."""
    chosen = opening(context)
    chosen.store(write=True).scope(chosen.scope).pins.rm(name)
    from treering.cli.render.console import say

    say(name, {"name": name}, as_json)
