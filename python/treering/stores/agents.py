"""Which actors of which type a scope has: `scope.agents`."""

from __future__ import annotations

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.messages import Admission, AgentGroup, AgentOperation
from treering.stores._dispatch import ActorStore
from treering.stores.listing import Listing
from treering.stores.receipt import Receipt


class AgentsStore(ActorStore):
    """The registry of a scope's actors, by type."""

    __slots__ = ()

    _kind = "agent-registry"

    @read
    def list(self) -> Listing[AgentGroup]:
        """Returns all groups, and in each its ids, both in the order in which they were added. O(actors)."""
        return Listing(*self._core.agents())

    @read
    def at(self, version: int) -> Listing[AgentGroup]:
        """Returns the groups as they were at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return Listing(*self._core.agents(version))

    @feed
    def states(self, after: int | None = None) -> Feed[Listing[AgentGroup]]:
        """Returns all groups as they are, then after each commit that changed them, of any process, in order and
        none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Listing(*found))

    @verb
    def add(
        self, agent_type: str, actor_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; the actor is listed under the type, behind the others, unchanged if it was there. One id
        may be listed under several types. O(log actors).

        Errors:
            InvalidCommand (`invalid-command`): type or id are blank, or the id is the address of an actor in another
                scope (`bob/chat/c`), which `authorize` would never allow.
            LimitExceeded (`limit-exceeded`): over 512 bytes, or 1,000 types for one id.
        """
        return (yield from self._send(lambda core: core.agents_add(agent_type, actor_id), expected_version, command_id))

    @verb
    def remove(
        self, agent_type: str, actor_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; the actor is not listed under the type any more, and the last one's type is gone.

        Errors:
            As `add`.
        """
        return (
            yield from self._send(lambda core: core.agents_remove(agent_type, actor_id), expected_version, command_id)
        )

    @read
    def authorize(self, agent_type: str, actor_id: str, operation: AgentOperation | str) -> Admission:
        """Returns whether an operation on an actor of that type is allowed, by what is committed: ALLOWED if it is
        listed under that type; DENIED if only under others, or the operation is unknown; NOT_FOUND if it is not listed;
        SCOPE_MISMATCH if `actor_id` is an address in another scope, where nothing is looked at. Writes nothing."""
        admission: Admission = self._core.agents_authorize(agent_type, actor_id, operation)
        return admission


SYNC.AgentsStore = AgentsStore
