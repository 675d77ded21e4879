"""`treering connectors …` and `treering roles …`: the catalogs of the scope, looked at and replaced by a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples, input_path

if TYPE_CHECKING:
    from treering import Catalog, ConnectorsStore, Receipt, RolesStore

At = Annotated[int | None, typer.Option("--at", min=0, help="As they were at this version.")]


def catalog_app(plural: str, what: str, key: str, example: str) -> typer.Typer:
    """The commands of one catalog."""
    app = typer.Typer(
        name=plural,
        help=what,
        no_args_is_help=True,
        epilog=examples(
            f"treering --scope alice {plural} list",
            f"treering --scope alice {plural} save {plural}.json",
            f"treering --scope alice {plural} import",
        ),
    )

    @app.command(
        "list",
        help=f"List the {plural} in their order.",
        epilog=examples(f"treering {plural} list", f"treering {plural} list --json > {plural}.json"),
    )
    def list_all(context: typer.Context, at: At = None, as_json: AsJson = False) -> None:
        from treering.cli.render.console import err, out, print_json_array
        from treering.cli.render.records import message_record

        catalog = _catalog(context, plural, at)
        if as_json:
            print_json_array(message_record(item) for item in catalog)
        elif catalog:
            from treering.cli.render.catalogs import print_catalog

            print_catalog(out(), catalog)
        else:
            err().print(f"no {plural}" if catalog.exists else f"no {plural} yet", style="faint")

    @app.command(
        "show",
        help=f"Print one of the {plural}, field by field.",
        epilog=examples(f"treering {plural} show {example}", f"treering {plural} show {example} --at 3 --json"),
    )
    def show(
        context: typer.Context,
        name: Annotated[str, typer.Argument(metavar=key.upper(), help=f"Its {key}, in any case.")],
        at: At = None,
        as_json: AsJson = False,
    ) -> None:
        from treering.cli.render.console import out, print_json
        from treering.cli.render.records import message_record

        found = [one for one in _catalog(context, plural, at) if getattr(one, key).lower() == name.strip().lower()]
        if not found:
            scope = opening(context).scope
            raise CommandError(f"scope {scope} has none of the {plural} called {name}", f"treering {plural} list")
        if as_json:
            print_json(message_record(found[0]))
            return
        from treering.cli.render.catalogs import print_item

        print_item(out(), found[0])

    @app.command(
        "save",
        help=f"Replace all {plural} by those of a JSON file: an array, or an object with them by {key}.",
        epilog=examples(f"treering {plural} save {plural}.json", f"treering {plural} save - --json < {plural}.json"),
    )
    def save(
        context: typer.Context,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="The file; - reads stdin.")],
        as_json: AsJson = False,
    ) -> None:
        # Whether there is one is known before a store is made.
        path = input_path(file)
        store = _store(context, plural)
        _say(plural, store, store.import_local(path), as_json)

    @app.command(
        "import",
        help=f"Replace all {plural} by those of {plural}.json in the workspace: TREERING_HOME, else ~/.treering.",
        epilog=examples(f"treering {plural} import", f"treering {plural} import --workspace ~/desk --json"),
    )
    def import_local(
        context: typer.Context,
        workspace: Annotated[Path | None, typer.Option(metavar="PATH", help="Another workspace.")] = None,
        as_json: AsJson = False,
    ) -> None:
        from treering import LocalWorkspace

        folder = LocalWorkspace(workspace)
        if folder.read(f"{plural}.json") is None:
            raise CommandError(
                f"no {plural}.json in {folder.path}", f"treering {plural} save FILE takes any other file"
            )
        store = _store(context, plural)
        _say(plural, store, store.import_local(folder.path / f"{plural}.json"), as_json)

    return app


connectors_app: Final = catalog_app("connectors", "Connectors: what agents may call.", "name", "search")
roles_app: Final = catalog_app("roles", "Roles: who agents can be.", "id", "coder")


def _catalog(context: typer.Context, plural: str, at: int | None) -> "Catalog[Any, Any]":
    chosen = opening(context)
    store = getattr(chosen.store().scope(chosen.scope), plural)
    catalog: Catalog[Any, Any] = store.get() if at is None else store.at(at)
    return catalog


def _store(context: typer.Context, plural: str) -> "ConnectorsStore | RolesStore":
    chosen = opening(context)
    store: ConnectorsStore | RolesStore = getattr(chosen.store(create=True).scope(chosen.scope), plural)
    return store


def _say(plural: str, store: "ConnectorsStore | RolesStore", receipt: "Receipt[None]", as_json: bool) -> None:
    from treering.cli.render.console import err, say
    from treering.cli.render.text import one_line

    count = len(store.at(receipt.version))
    record = {
        "version": receipt.version,
        "changed": receipt.changed,
        "count": count,
        "warnings": list(receipt.warnings),
    }
    done = "saved" if receipt.changed else "unchanged"
    say(f"{count:,} {plural} {done}, version {receipt.version:,}", record, as_json)
    for warning in receipt.warnings:
        err().print(f"warning: {one_line(warning)}", style="warn", soft_wrap=True)
