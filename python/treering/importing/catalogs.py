"""`connectors.json` and `roles.json` → `scope.connectors`, `scope.roles`: a catalog is taken whole, as by the store's
own `import_local`, or not at all. Never: shows a value, which may be a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, BinaryIO, Literal, Protocol

from treering.codec import encode
from treering.errors import InvalidCommand, VersionConflict
from treering.importing.fields import folded
from treering.importing.report import Notes, Refused, shown
from treering.importing.source import read_within
from treering.importing.target import Done, Target, command_id, was_sent
from treering.scope import Scope
from treering.stores.catalog_json import FILE_BYTES_MAX, Members, in_file
from treering.stores.catalogs import CONNECTORS, ROLES
from treering.stores.history import ActorEvent
from treering.stores.receipt import Receipt
from treering.strict_json import join_path, unkept


class _Items(Protocol):
    version: int

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class _Catalog(Protocol):
    """What is asked of the store of a catalog."""

    def get(self) -> _Items: ...
    def history(self) -> Iterable[ActorEvent]: ...
    def save(
        self, items: Iterable[Any], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]: ...


def import_catalog(
    target: Target, kind: Literal["connectors", "roles"], file: BinaryIO, document: Any, notes: Notes
) -> Done:
    """Takes a catalog, if the scope has none and no draft of one. `document` is what the file holds."""
    store = _store(target.scope, kind)
    if (found := unkept(document, "$", 1)) is not None:
        raise Refused(*found)
    command = command_id(kind, encode(document))
    file.seek(0)
    data = read_within(file, FILE_BYTES_MAX)
    catalog = CONNECTORS if kind == "connectors" else ROLES
    try:
        rows, unknown = catalog.rows(data, catalog.file, FILE_BYTES_MAX)
    except InvalidCommand as error:
        raise _refused(error) from None
    items = [row.item for row in rows]
    if target.dry_run and (version := store.get().version) > 0:
        if was_sent(
            lambda version: store.save(items, expected_version=version, command_id=command),
            store.history(),
            command,
        ):
            return Done("there", 0)
        raise _taken(kind, version)
    with target.writable() as scope:
        taking = _store(scope, kind)
        try:
            receipt = taking.save(items, expected_version=0, command_id=command)
        except VersionConflict as error:
            raise _taken(kind, error.attributes["actual"]) from None
        except InvalidCommand as error:
            raise _refused(in_file(error, rows, kind, catalog.key, catalog.file)) from None
        if receipt.replayed:
            return Done("there", 0)
        for place in unknown:
            notes.left_out(place, "a field that is not known")
        kept = taking.get()
        for row, item in zip(rows, kept, strict=False):
            _note_changes(row.given, item, row.place, notes)
        return Done("new", len(kept))


def _store(scope: Scope, kind: Literal["connectors", "roles"]) -> _Catalog:
    return scope.connectors if kind == "connectors" else scope.roles


def _note_changes(given: Any, kept: Any, path: str, notes: Notes) -> None:
    """Notes the fields that the store's rules changed."""
    if not isinstance(given, Members) or not is_dataclass(kept):
        return
    names = {folded(field.name): field.name for field in fields(kept)}
    for key, value in given:
        if value is None or (name := names.get(folded(key))) is None:
            continue
        now, place = getattr(kept, name), join_path(path, key)
        if is_dataclass(now):
            _note_changes(value, now, place, notes)
        elif isinstance(value, int) and isinstance(now, int) and value != now:
            notes.changed(place, f"{value} is kept as {now}")
        elif (isinstance(value, str) and isinstance(now, str) and value != now) or (
            isinstance(value, list) and isinstance(now, tuple | list) and value != list(now)
        ):
            notes.changed(place, "it is kept in its normal form")


def _refused(error: InvalidCommand) -> Refused:
    """What stands there may be a secret: it is shown where the rule's own error shows it."""
    field, value, rule = (error.attributes[name] for name in ("field", "value", "rule"))
    return Refused(field, rule if value in ("", "…") else f"{shown(value)}: {rule}")


def _taken(kind: str, version: int) -> Refused:
    return Refused(
        "$",
        f"the scope has {kind} already, or a draft, at version {version}, and nothing is overwritten: import into "
        "another scope",
    )
