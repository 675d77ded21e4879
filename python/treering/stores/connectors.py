"""What agents may call: `scope.connectors`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from treering._calls import Op, verb
from treering._family import SYNC
from treering.messages import Connector, ConnectorDraft
from treering.stores.catalogs import CONNECTORS, CatalogStore
from treering.stores.receipt import Receipt


class ConnectorsStore(CatalogStore[Connector, ConnectorDraft]):
    """The connectors of a scope: a catalog that is saved as a whole, and a draft of one of them beside it. `.version`
    is that of both."""

    __slots__ = ()

    _kind = CONNECTORS.kind
    _catalog = CONNECTORS

    @verb
    def save(
        self, items: Iterable[Connector], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; these are all connectors now, in this order, normalised. None at all is a catalog that
        is there and empty. The draft stays. Unchanged if they are the same.

        Errors:
            InvalidCommand (`invalid-command`): one is not whole, holds a secret in clear, or two have one name;
            `field`, `value`, `rule`. LimitExceeded (`limit-exceeded`): over 1,000 of them, 64 KiB of one, 512 KiB of
            all. VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        return (yield from self._send(lambda core: CONNECTORS.saving(core, items), expected_version, command_id))

    @verb
    def import_local(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; all connectors are now those of a file, or nothing happened. None is `connectors.json`
        of the scope's workspace, else of `LocalWorkspace()`. The file is an array, an object of the connectors by
        their name, or an object with one of these under "connectors" or "definitions"; the case of keys is ignored.
        Keys that nobody knows are left out and stand in `warnings`.

        Errors:
            NotFound (`not-found`): the file is not there.
            Invalid (`invalid`): it is no JSON, or has another shape.
            InvalidCommand (`invalid-command`): a field is wrong, where in the file says `field`; as `save`.
            LimitExceeded (`limit-exceeded`): over 4 MiB; as `save`.
            Unavailable (`unavailable`): it can't be read.
        """
        return (yield from CONNECTORS.importing(self._scope.resolve(), path, expected_version, command_id))


SYNC.ConnectorsStore = ConnectorsStore
