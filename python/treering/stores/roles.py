"""Who agents can be: `scope.roles`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.messages import Role, RoleDraft
from treering.stores._dispatch import ActorStore
from treering.stores.catalogs import ROLES
from treering.stores.listing import Catalog
from treering.stores.receipt import Receipt


class RolesStore(ActorStore):
    """The roles of a scope: a catalog that is saved as a whole, and a draft of one of them beside it. `.version` is
    that of both."""

    __slots__ = ()

    _kind = "role-catalog"

    @read
    def get(self) -> Catalog[Role, RoleDraft]:
        """Returns the roles as they were saved, with their `version`, whether they ever were (`exists`), and the
        `draft`. O(roles)."""
        return ROLES.read(self._core)

    @read
    def at(self, version: int) -> Catalog[Role, RoleDraft]:
        """Returns the same as it was at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return ROLES.read(self._core, version)

    @feed
    def states(self, after: int | None = None) -> Feed[Catalog[Role, RoleDraft]]:
        """Returns the catalog and its draft as they are, then after each commit that changed them, of any process, in
        order and none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Catalog(*found))

    @verb
    def save(
        self, items: Iterable[Role], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; these are all roles now, in this order, normalised. None at all is a catalog that is
        there and empty. The draft stays. Unchanged if they are the same.

        Errors:
            InvalidCommand (`invalid-command`): one has no id, or two have one id; `field`, `value`, `rule`.
            LimitExceeded (`limit-exceeded`): over 1,000 of them, 64 KiB of one, 512 KiB of all.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        return (yield from self._send(lambda core: ROLES.saving(core, items), expected_version, command_id))

    @read
    def draft(self) -> RoleDraft | None:
        """Returns the draft, with the `version`; None if there is none. Its `item` may be None, too."""
        draft: RoleDraft | None = ROLES.read(self._core).draft
        return draft

    @verb
    def save_draft(
        self, item: Role | None, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[RoleDraft]]:
        """Returns the receipt with the draft, which may be unfinished: it is normalised, and refused for its size and
        for secrets in clear alone. None is kept too, with its time. Always a change.

        Where the scope has a workspace the draft is mirrored to `roles_draft.json` there, after the commit; if
        that fails, `warnings` of the receipt says why.

        Errors:
            InvalidCommand (`invalid-command`): a secret in clear; the error never shows it.
            LimitExceeded (`limit-exceeded`): over 64 KiB.
        """
        home = self._scope.resolve()
        verb = ROLES.saving_draft(home.stores, item)
        return (yield from ROLES.on_draft(home, verb, expected_version, command_id))

    @verb
    def delete_draft(self, *, expected_version: int | None = None, command_id: str | None = None) -> Op[Receipt[None]]:
        """Returns the receipt; there is no draft, and no mirror of it. Unchanged if there was none."""
        home = self._scope.resolve()
        verb = ROLES.deleting_draft(home.stores)
        return (yield from ROLES.on_draft(home, verb, expected_version, command_id))

    @read
    def mirror(self) -> None:
        """Brings the draft's mirror in the workspace to what the draft is, as every verb on it does after its commit:
        for an application that was killed in between.

        Errors:
            Invalid (`invalid`): the scope has no workspace, see `Scope.with_workspace`.
            Unavailable (`unavailable`): the mirror can't be written, or is of another scope.
        """
        ROLES.mirroring(self._scope.resolve())

    @verb
    def import_local(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; all roles are now those of a file, or nothing happened. None is `roles.json` of the
        scope's workspace, else of `LocalWorkspace()`. The file is an array, an object of the roles by their id, or an
        object with one of these under "roles" or "definitions"; the case of keys is ignored. Keys that nobody knows
        are left out and stand in `warnings`.

        Errors:
            NotFound (`not-found`): the file is not there.
            Invalid (`invalid`): it is no JSON, or has another shape.
            InvalidCommand (`invalid-command`): a field is wrong, where in the file says `field`; as `save`.
            LimitExceeded (`limit-exceeded`): over 4 MiB; as `save`.
            Unavailable (`unavailable`): it can't be read.
        """
        return (yield from ROLES.importing(self._scope.resolve(), path, expected_version, command_id))


SYNC.RolesStore = RolesStore
