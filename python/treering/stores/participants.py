"""Who takes part in which room: `scope.participants`."""

from __future__ import annotations

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.messages import Participant
from treering.stores._dispatch import READER, ActorStore
from treering.stores.listing import Listing
from treering.stores.receipt import Receipt


class ParticipantsStore(ActorStore):
    """The rooms of a scope. `.version` is that of all rooms together."""

    __slots__ = ()

    _kind = "participants"

    @read
    def list(self, room_id: str) -> Listing[Participant]:
        """Returns those in a room in the order in which they came; none in a room that there is not."""
        return Listing(*self._core.participants(room_id))

    @read
    def rooms(self, version: int | None = None) -> Listing[str]:
        """Returns the ids of all rooms in order, as they are, or as they were at a version. O(rooms).

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return Listing(*self._core.rooms(version))

    @read
    def at(self, room_id: str, version: int) -> Listing[Participant]:
        """Returns those in a room as it was at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return Listing(*self._core.participants(room_id, version))

    @feed
    def states(self, room_id: str, after: int | None = None) -> Feed[Listing[Participant]]:
        """Returns those in a room as it is, then as it is after each commit that changed any room, of any process, in
        order and none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a trim is seen, not what it cut off.
        It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return READER.states(
            self._scope.resolve(), lambda core: core.participants_states(room_id, after), lambda found: Listing(*found)
        )

    @verb
    def add(
        self,
        room_id: str,
        agent_id: str,
        display_name: str = "",
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[Participant]]:
        """Returns the receipt with the participant, who comes last now, under that name (the id, if it is blank); one
        who was there moves.

        Errors:
            InvalidCommand (`invalid-command`): an id is blank.
            LimitExceeded (`limit-exceeded`): over 500 in one room; over 512 bytes of an id, 1,024 of a name.
        """
        return (
            yield from self._send(
                lambda core: core.participants_add(room_id, agent_id, display_name), expected_version, command_id
            )
        )

    @verb
    def remove(
        self, room_id: str, agent_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; the agent is not in the room any more, and the last one's room is gone.

        Errors:
            InvalidCommand (`invalid-command`): an id is blank.
        """
        return (
            yield from self._send(
                lambda core: core.participants_remove(room_id, agent_id), expected_version, command_id
            )
        )

    @verb
    def remove_room(
        self, room_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; the room is gone with all who took part.

        Errors:
            InvalidCommand (`invalid-command`): the id is blank.
        """
        return (
            yield from self._send(lambda core: core.participants_remove_room(room_id), expected_version, command_id)
        )


SYNC.ParticipantsStore = ParticipantsStore
