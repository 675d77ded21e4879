"""Sources that are kept: `scope.workflows` and `scope.scripts`."""

from __future__ import annotations

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb
from treering._family import SYNC
from treering.messages import Script, Workflow
from treering.stores._dispatch import READER, ActorStore
from treering.stores.history import ActorEvent
from treering.stores.listing import Listing
from treering.stores.receipt import Receipt


class WorkflowsStore(ActorStore):
    """The workflows of a scope, by id."""

    __slots__ = ()

    _kind = "workflow-storage"

    @read
    def get(self, id: str, version: int | None = None) -> Workflow | None:
        """Returns a workflow, None if there is none of that id; as it is, or as it was at a version of the store.

        Errors:
            NotFound (`not-found`): there is no such version yet.
        """
        workflow, _ = self._core.workflow(id, version)
        return workflow

    @read
    def list(self, version: int | None = None) -> Listing[Workflow]:
        """Returns all workflows in the order of their ids, with their `version`. O(workflows).

        Errors:
            NotFound (`not-found`): there is no such version yet.
        """
        return Listing(*self._core.workflows(version))

    @feed
    def states(self, after: int | None = None) -> Feed[Listing[Workflow]]:
        """Returns all workflows as they are, then after each commit that changed them, of any process, in order and
        none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Listing(*found))

    @verb
    def upload(
        self, id: str, name: str, yaml: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[Workflow]]:
        """Returns the receipt with the workflow, which takes the place of what had its id; unchanged if that is the
        same. A blank name is the id.

        Errors:
            InvalidCommand (`invalid-command`): id or source are blank.
            LimitExceeded (`limit-exceeded`): over 512 KiB of source.
        """
        return (yield from self._send(lambda core: core.workflows_upload(id, name, yaml), expected_version, command_id))

    @stream
    def history(
        self, id: str | None = None, *, first: int | None = None, last: int | None = None
    ) -> Chunks[ActorEvent]:
        """Returns the events that brought a workflow (None: all), of versions `first` (None: the oldest that is kept)
        to `last` (None: the newest), both included; an iterator, the oldest first. O(events of the store).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        return _of(id, READER.events(self._core, self._kind, (), first, last))


class ScriptsStore(ActorStore):
    """The scripts of a scope, by id."""

    __slots__ = ()

    _kind = "script-storage"

    @read
    def get(self, id: str, version: int | None = None) -> Script | None:
        """Returns a script, None if there is none of that id; as it is, or as it was at a version of the store.

        Errors:
            NotFound (`not-found`): there is no such version yet.
        """
        script, _ = self._core.script(id, version)
        return script

    @read
    def list(self, version: int | None = None) -> Listing[Script]:
        """Returns all scripts in the order of their ids, with their `version`. O(scripts).

        Errors:
            NotFound (`not-found`): there is no such version yet.
        """
        return Listing(*self._core.scripts(version))

    @feed
    def states(self, after: int | None = None) -> Feed[Listing[Script]]:
        """Returns all scripts as they are, then after each commit that changed them, of any process, in order and
        none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Listing(*found))

    @verb
    def upload(
        self, id: str, source: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[Script]]:
        """Returns the receipt with the script, which takes the place of what had its id; unchanged if that is the same.

        Errors:
            InvalidCommand (`invalid-command`): id or source are blank.
            LimitExceeded (`limit-exceeded`): over 512 KiB of source.
        """
        return (yield from self._send(lambda core: core.scripts_upload(id, source), expected_version, command_id))

    @stream
    def history(
        self, id: str | None = None, *, first: int | None = None, last: int | None = None
    ) -> Chunks[ActorEvent]:
        """Returns the events that brought a script (None: all), of versions `first` (None: the oldest that is kept)
        to `last` (None: the newest), both included; an iterator, the oldest first. O(events of the store).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        return _of(id, READER.events(self._core, self._kind, (), first, last))


def _of(id: str | None, chunks: Chunks[ActorEvent]) -> Chunks[ActorEvent]:
    for chunk in chunks:
        yield [event for event in chunk if id is None or getattr(event.message, "id", None) == id]


SYNC.WorkflowsStore = WorkflowsStore
SYNC.ScriptsStore = ScriptsStore
