"""`treering block …`: put, get, list and follow blocks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples, input_path

if TYPE_CHECKING:
    from treering import Cid

block_app: Final = typer.Typer(
    name="block",
    help="Blocks: immutable bytes, named by their CID.",
    no_args_is_help=True,
    epilog=examples(
        "echo hello | treering block put",
        "treering block get bafkr4ib5x3d",
    ),
)
CidArgument = Annotated[
    str,
    typer.Argument(metavar="CID", help="A CID, or the beginning of one (12 characters, or 6 after bafyr4i / bafkr4i)."),
]


@block_app.command(
    "put",
    epilog=examples(
        "treering block put notes.txt",
        "echo '{\"a\": 1}' | treering block put --node",
    ),
)
def put(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", dir_okay=False, help="Default, and -: stdin."),
    ] = None,
    node: Annotated[bool, typer.Option("--node", help="The input is DAG-JSON; store it as a node.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store bytes and print their CID. The same bytes are stored once. The scope holds them for 24 hours."""
    data = sys.stdin.buffer.read() if file is None else input_path(file).read_bytes()
    chosen = opening(context)
    blocks = chosen.store(create=True).scope(chosen.scope).blocks
    if node:
        from treering.codec import from_dag_json

        cid = blocks.put_node(from_dag_json(data.decode("utf-8")))
    else:
        cid = blocks.put(data)
    from treering.cli.render.console import say

    say(str(cid), {"cid": str(cid)}, as_json)


@block_app.command(
    "get",
    epilog=examples(
        "treering block get bafyr4iaq2m7c",
        "treering block get --raw CID > node.cbor",
    ),
)
def get(
    context: typer.Context,
    cid: CidArgument,
    raw: Annotated[bool, typer.Option("--raw", help="A node's bytes as they are stored, not DAG-JSON.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a block: bytes as they are, a node as DAG-JSON."""
    if raw and as_json:
        raise typer.BadParameter("--raw and --json say different things; give one")
    store = opening(context).store()
    found = _resolve(opening(context), cid)
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import block_record

        print_json(block_record(found, store.blocks.get(found)))
    elif raw or found.codec == "raw":
        sys.stdout.flush()
        sys.stdout.buffer.write(store.blocks.get(found))
        sys.stdout.buffer.flush()
    else:
        from treering.codec import to_dag_json

        typer.echo(to_dag_json(store.blocks.get_node(found)))


@block_app.command(
    "list",
    epilog=examples(
        "treering block list",
        "treering block list --json | jq length",
    ),
)
def list_blocks(context: typer.Context, as_json: AsJson = False) -> None:
    """List all blocks in the order in which they were put: CID, kind, size."""
    infos = opening(context).store().blocks.list()
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array({"cid": str(info.cid), "codec": info.cid.codec, "size": info.size} for info in infos)
        return
    for info in infos:
        typer.echo(f"{info.cid}  {info.cid.codec:<8}  {info.size:>10,}")


@block_app.command(
    "links",
    epilog=examples(
        "treering block links bafyr4iaq2m7c",
        "treering block links CID --json",
    ),
)
def links(context: typer.Context, cid: CidArgument, as_json: AsJson = False) -> None:
    """Print the CIDs that a node links to, in order, each once; nothing for bytes."""
    found = opening(context).store().blocks.links(_resolve(opening(context), cid))
    if as_json:
        from treering.cli.render.console import print_json

        print_json([str(link) for link in found])
        return
    for link in found:
        typer.echo(str(link))


def _resolve(chosen: Opening, text: str) -> "Cid":
    return chosen.store().blocks.resolve(text)
