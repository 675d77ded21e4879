"""What the catalogs of connectors and roles share: what of which kind is in which file, and how it is read and written.

The stores' own files say what their verbs are called; a draft's mirror is in `mirror.py`, JSON in `catalog_json.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from treering._calls import Look, Op
from treering._core import StoresCore, VerbCore, catalog_delete_draft, catalog_read, catalog_save, catalog_save_draft
from treering._session import Home
from treering.errors import Invalid, NotFound, Unavailable
from treering.messages import Connector, Role
from treering.stores._dispatch import DISPATCHER
from treering.stores.catalog_json import FILE_BYTES_MAX, items_of
from treering.stores.listing import Catalog
from treering.stores.mirror import attempt, mirrored, warned
from treering.stores.receipt import Receipt
from treering.workspace import LocalWorkspace

_NAMED_MAX: Final = 10
_PIECE_BYTES: Final = 64 << 10
"""Unknown keys that a warning names."""


@dataclass(frozen=True, slots=True)
class CatalogKind:
    """A kind of catalog."""

    kind: str
    item: type[Any]
    plural: str
    key: str

    @property
    def file(self) -> str:
        """What `import_local` reads."""
        return f"{self.plural}.json"

    @property
    def mirror(self) -> str:
        """What a draft is mirrored to."""
        return f"{self.plural}_draft.json"

    def read(self, core: StoresCore, version: int | None = None) -> Catalog[Any, Any]:
        return Catalog(*catalog_read(core, self.kind, version))

    def saving(self, core: StoresCore, items: Iterable[Any]) -> VerbCore:
        return catalog_save(core, self.kind, list(items))

    def saving_draft(self, core: StoresCore, item: Any | None) -> VerbCore:
        return catalog_save_draft(core, self.kind, item)

    def deleting_draft(self, core: StoresCore) -> VerbCore:
        return catalog_delete_draft(core, self.kind)

    def on_draft(
        self, home: Home, verb: VerbCore, expected_version: int | None, command_id: str | None
    ) -> Op[Receipt[Any]]:
        """Sends a command on the draft; its mirror follows the commit."""
        receipt = yield from DISPATCHER.dispatch(home, verb, expected_version, command_id)
        if home.workspace is None:
            return receipt
        return (yield from mirrored(home, self.mirror, lambda: self.read(home.stores).draft, receipt))

    def warning(self, home: Home) -> str | None:
        """Why the mirror is not what the draft is, after it was written where it wasn't."""
        return attempt(home, self.mirror, lambda: self.read(home.stores).draft)

    def mirroring(self, home: Home) -> None:
        if home.workspace is None:
            raise Invalid(f"no workspace: scope.with_workspace(…) says where the draft of {self.plural} is mirrored to")
        if (why := self.warning(home)) is not None:
            raise Unavailable(why)

    def importing(
        self, home: Home, path: str | os.PathLike[str] | None, expected_version: int | None, command_id: str | None
    ) -> Op[Receipt[None]]:
        """Replaces the catalog by what a file holds."""
        source, data = yield Look(lambda: self._file(home, path))
        items, unknown = items_of(data, self.item, plural=self.plural, key=self.key, source=source)
        receipt = yield from DISPATCHER.dispatch(home, self.saving(home.stores, items), expected_version, command_id)
        return warned(receipt, unknown_keys(source, unknown))

    def _file(self, home: Home, path: str | os.PathLike[str] | None) -> tuple[str, bytes]:
        if path is not None:
            return str(Path(path)), _bytes(Path(path), self.plural)
        workspace = LocalWorkspace() if home.workspace is None else home.workspace
        try:
            data = workspace.read(self.file)
        except OSError as error:
            raise Unavailable(f"{self.file} in {workspace!r} can't be read: {error.strerror or error}") from error
        if data is None:
            raise NotFound(
                f"no {self.file} in {workspace!r}; give the path of a file with {self.plural}", which=self.file
            )
        return self.file, data


def unknown_keys(source: str, unknown: list[str]) -> str | None:
    """Returns what a receipt says of keys that nobody knows; None where there are none."""
    if not unknown:
        return None
    more = f" and {len(unknown) - _NAMED_MAX} more" if len(unknown) > _NAMED_MAX else ""
    return f"{source}: left out, since nobody knows them: {', '.join(unknown[:_NAMED_MAX])}{more}"


def _read(file: BinaryIO) -> bytes:
    """Returns all of it, or enough to see that it is too much. A read takes memory for all that it asks for."""
    pieces, left = [], FILE_BYTES_MAX + 1
    while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _bytes(path: Path, plural: str) -> bytes:
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        reason = None
    except OSError as error:
        reason = error.strerror
    if reason is None:
        raise NotFound(f"no file {path}; give the path of a file with {plural}", which=str(path))
    raise Unavailable(f"{path} can't be read: {reason}", which=str(path))


CONNECTORS: Final = CatalogKind("connector-catalog", Connector, "connectors", "name")
ROLES: Final = CatalogKind("role-catalog", Role, "roles", "id")
