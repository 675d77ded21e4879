"""What the catalogs of connectors and roles share: what of which kind is in which file, how it is read and written, and
the verbs that are the same for both.

What tells one from the other stands in the stores' own files; a draft's mirror is in `mirror.py`, JSON in
`catalog_json.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from treering._calls import Feed, Look, Op, feed, read, verb
from treering._core import StoresCore, VerbCore, catalog_delete_draft, catalog_read, catalog_save, catalog_save_draft
from treering._session import Home
from treering.errors import Invalid, InvalidCommand, NotFound, ReadOnly, Unavailable
from treering.messages import Connector, Role
from treering.stores._dispatch import DISPATCHER, ActorStore
from treering.stores.catalog_json import FILE_BYTES_MAX, NAMED_MAX, Row, Unknown, in_file, rows_of
from treering.stores.listing import Catalog
from treering.stores.mirror import attempt, forgotten, mirrored, warned
from treering.stores.receipt import Receipt
from treering.workspace import LocalWorkspace, read_some

Item = TypeVar("Item")
Draft = TypeVar("Draft")


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

    def forgotten(self, home: Home) -> str | None:
        """Why the mirror of a scope that was erased is still there, after it was removed."""
        return forgotten(home, self.mirror, lambda: self.read(home.stores).draft)

    def mirroring(self, home: Home) -> None:
        location = home.session.location
        if home.session.origin is not home.session or (location is not None and location.read_only):
            reason = "it is open for reading only" if home.session.origin is home.session else "it is of the past"
            raise ReadOnly(f"the draft of {self.plural} of scope {home.scope} is not mirrored: {reason}")
        if home.workspace is None:
            raise Invalid(f"no workspace: scope.with_workspace(…) says where the draft of {self.plural} is mirrored to")
        if (why := self.warning(home)) is not None:
            raise Unavailable(why)

    def importing(
        self, home: Home, path: str | os.PathLike[str] | None, expected_version: int | None, command_id: str | None
    ) -> Op[Receipt[None]]:
        """Replaces the catalog by what a file holds."""
        # A pipe, or a workspace of the caller's own, may take its time.
        source, data = yield Look(lambda: self._file(home, path), theirs=True)
        rows, unknown = yield Look(lambda: self.rows(data, source))
        try:
            verb = self.saving(home.stores, [row.item for row in rows])
        except InvalidCommand as error:
            raise in_file(error, rows, self.plural, self.key, source) from None
        receipt = yield from DISPATCHER.dispatch(home, verb, expected_version, command_id)
        return warned(receipt, unknown_keys(source, unknown))

    def rows(self, data: bytes, source: str, named_max: int = NAMED_MAX) -> tuple[list[Row], Unknown]:
        """Returns the items of a file with their places, and the keys in it that nobody knows."""
        return rows_of(data, self.item, plural=self.plural, key=self.key, source=source, named_max=named_max)

    def _file(self, home: Home, path: str | os.PathLike[str] | None) -> tuple[str, bytes]:
        if path is not None:
            if "\0" in os.fsdecode(path):
                raise Invalid(f"{path!r} is no path: it has a NUL", path=os.fsdecode(path))
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


def unknown_keys(source: str, unknown: Unknown) -> str | None:
    """Returns what a receipt says of keys that nobody knows; None where there are none."""
    if not unknown:
        return None
    more = f" and {unknown.unnamed:,} more" if unknown.unnamed else ""
    return f"{source}: left out, since nobody knows them: {', '.join(unknown)}{more}"


def _bytes(path: Path, plural: str) -> bytes:
    try:
        with path.open("rb") as file:
            return read_some(file, FILE_BYTES_MAX)
    except FileNotFoundError:
        reason = None
    except OSError as error:
        reason = error.strerror
    if reason is None:
        raise NotFound(f"no file {path}; give the path of a file with {plural}", which=str(path))
    raise Unavailable(f"{path} can't be read: {reason}", which=str(path))


CONNECTORS: Final = CatalogKind("connector-catalog", Connector, "connectors", "name")
ROLES: Final = CatalogKind("role-catalog", Role, "roles", "id")


class CatalogStore(ActorStore, Generic[Item, Draft]):
    """A catalog that is saved as a whole, and a draft of one of its items beside it. `.version` is that of both."""

    __slots__ = ()

    _catalog: ClassVar[CatalogKind]

    @read
    def get(self) -> Catalog[Item, Draft]:
        """Returns the items as they were saved, with their `version`, whether they ever were (`exists`), and the
        `draft`. O(items)."""
        return self._catalog.read(self._core)

    @read
    def at(self, version: int) -> Catalog[Item, Draft]:
        """Returns the same as it was at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return self._catalog.read(self._core, version)

    @feed
    def states(self, after: int | None = None) -> Feed[Catalog[Item, Draft]]:
        """Returns the catalog and its draft as they are, then after each commit that changed them, of any process, in
        order and none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Catalog(*found))

    @read
    def draft(self) -> Draft | None:
        """Returns the draft, with the `version`; None if there is none. Its `item` may be None, too."""
        draft: Draft | None = self._catalog.read(self._core).draft
        return draft

    @verb
    def save_draft(
        self, item: Item | None, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[Draft]]:
        """Returns the receipt with the draft, which may be unfinished: it is normalised, and refused for its size and
        for secrets in clear alone. None is kept too, with its time. Always a change.

        Where the scope has a workspace the draft is mirrored to `connectors_draft.json` or `roles_draft.json` there,
        after the commit; if that fails, `warnings` of the receipt says why.

        Errors:
            InvalidCommand (`invalid-command`): a secret in clear; the error never shows it.
            LimitExceeded (`limit-exceeded`): over 64 KiB.
        """
        home = self._scope.resolve()
        verb = self._catalog.saving_draft(home.stores, item)
        return (yield from self._catalog.on_draft(home, verb, expected_version, command_id))

    @verb
    def delete_draft(self, *, expected_version: int | None = None, command_id: str | None = None) -> Op[Receipt[None]]:
        """Returns the receipt; there is no draft, and no mirror of it. Unchanged if there was none."""
        home = self._scope.resolve()
        verb = self._catalog.deleting_draft(home.stores)
        return (yield from self._catalog.on_draft(home, verb, expected_version, command_id))

    @read
    def mirror(self) -> None:
        """Brings the draft's mirror in the workspace to what the draft is, as every verb on it does after its commit:
        for an application that was killed in between.

        Errors:
            Invalid (`invalid`): the scope has no workspace, see `Scope.with_workspace`.
            Unavailable (`unavailable`): the mirror can't be written, or is of another scope.
        """
        self._catalog.mirroring(self._scope.resolve())
