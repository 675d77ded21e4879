"""Conversations: `scope.chats`, an actor each, and the list of them, which moves in the same commit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb, waits, writes
from treering._family import SYNC
from treering.journal import moment_ms
from treering.messages import Conversation, Message
from treering.stores._dispatch import DISPATCHER, READER, ScopeStore
from treering.stores.history import ActorEvent
from treering.stores.info import ActorInfo, info_of
from treering.stores.listing import Listing, Messages
from treering.stores.receipt import Receipt

_KIND: Final = "chat"


class ChatsStore(ScopeStore):
    """The conversations of a scope."""

    __slots__ = ()

    @read
    def index(self, version: int | None = None) -> Listing[Conversation]:
        """Returns the conversations, the one that was changed last first, then by id; as they are, or as they were at a
        version of the list. O(conversations).

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more; a deletion drops what was before it.
        """
        return Listing(*self._core.chat_index(version))

    @read
    def messages(self, conversation_id: str) -> Messages:
        """Returns the messages of a conversation, oldest first, with its `version`; none if there is no such one."""
        conversation, messages, version = self._core.chat(conversation_id)
        return Messages(messages, version, conversation)

    @read
    def at(self, conversation_id: str, version: int) -> Messages:
        """Returns the messages as they were at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more; a deletion drops what was before it.
        """
        conversation, messages, version = self._core.chat(conversation_id, version)
        return Messages(messages, version, conversation)

    @verb
    def save(
        self,
        conversation_id: str,
        meta: Conversation,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[Conversation]]:
        """Returns the receipt with the conversation; what was known of it and all messages are replaced, in the given
        order. The newest `Settings.chat_messages` are kept, `dropped` says how many were not. `id` and `message_count`
        of `meta` are set; times that are 0 are the commit's.

        Errors:
            InvalidCommand (`invalid-command`): the id is blank.
            LimitExceeded (`limit-exceeded`): over 4,094 messages, 400 KiB of content, 100 attachments.
            Invalid (`invalid`): an attachment is not in the store; put it first. `link`.
        """
        return (
            yield from self._send(
                lambda core: core.chats_save(conversation_id, meta, list(messages)),
                expected_version,
                command_id,
            )
        )

    @verb
    def append(
        self,
        conversation_id: str,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[Conversation]]:
        """Returns the receipt with the conversation; the messages stand behind the last. A conversation that is not
        there begins with them. Costs these messages, however many there are.

        Errors:
            As `save`.
        """
        return (
            yield from self._send(
                lambda core: core.chats_append(conversation_id, list(messages)),
                expected_version,
                command_id,
            )
        )

    @verb
    def delete(
        self, conversation_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[Conversation]]:
        """Returns the receipt; the conversation and its row in the list are gone, whichever there was. Text and title
        can't be reached any more, and the next collection deletes them. Its version goes on, should it be written
        again.

        Errors:
            InvalidCommand (`invalid-command`): the id is blank.
        """
        return (yield from self._send(lambda core: core.chats_delete(conversation_id), expected_version, command_id))

    @verb
    def trim(
        self,
        conversation_id: str,
        *,
        before: int | datetime | None = None,
        keep: int | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; what happened to a conversation before what is kept is gone: as `MemoryStore.trim`. Its
        messages stay, and so does the list's own history.

        Errors:
            As there.
        """
        return (
            yield from DISPATCHER.trim(
                self._scope.resolve(), _KIND, (conversation_id,), before, keep, expected_version, command_id
            )
        )

    @read
    def info(self, conversation_id: str) -> ActorInfo:
        """Returns where a conversation stands; version 0 if it was never written.

        Errors:
            Corrupt (`corrupt`): its log can't be read.
        """
        return info_of(self._core, _KIND, (conversation_id,))

    @stream
    def history(self, conversation_id: str, *, first: int | None = None, last: int | None = None) -> Chunks[ActorEvent]:
        """Returns what happened to a conversation, version by version from `first` (None: the oldest that is kept) to
        `last` (None: the newest), both included; an iterator, the oldest first. `info(conversation_id).oldest` says
        after which version that begins, 0 if nothing was cut off.

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        # Not a generator: whose history it is, is settled by the call.
        return READER.events(self._core, _KIND, (conversation_id,), first, last)

    @feed
    def watch(self, conversation_id: str, after: int | None = None) -> Feed[ActorEvent]:
        """Returns what happens to a conversation after version `after` (None: from now on), each event as it comes, of
        any process, in order and without a gap; no end. After an erase of the scope it goes on with what comes then,
        from version 1.

        Errors:
            HistoryTrimmed (`history-trimmed`): what came after `after` is not kept any more, as after a deletion.
        """
        return READER.changes(self._scope.resolve(), _KIND, (conversation_id,), after)

    @feed
    def states(self, conversation_id: str, after: int | None = None) -> Feed[Messages]:
        """Returns the messages of a conversation as they are, then after each commit that changed it, of any process,
        in order and none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. A deletion is a state, of no messages; what it or a trim cut off is left out.
        It ends when the store is closed. O(messages) for each.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return READER.states(
            self._scope.resolve(),
            lambda core: core.states(_KIND, (conversation_id,), after),
            lambda found: Messages(found[1], found[2], found[0]),
        )

    @feed
    def index_states(self, after: int | None = None) -> Feed[Listing[Conversation]]:
        """Returns the conversations as they are, then after each commit that changed one, as `states`; `after` is a
        version of the list. O(conversations) for each.

        Errors:
            As `states`.
        """
        return READER.states(
            self._scope.resolve(), lambda core: core.states("chat-index", (), after), lambda found: Listing(*found)
        )

    @read
    def version_at(self, conversation_id: str, moment: datetime) -> int:
        """Returns the conversation's newest version that is not later than a moment (with its zone); for `at`.

        Errors:
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Invalid (`invalid`): a time without a zone.
        """
        return self._core.version_at(_KIND, (conversation_id,), moment_ms(moment))

    @read
    @waits
    def verify(self, conversation_id: str) -> int:
        """Returns how many events a conversation has, after all were checked. O(events).

        Errors:
            Corrupt (`corrupt`): something is wrong; `which`, `version`, `block`.
        """
        return self._core.verify_actor(_KIND, (conversation_id,))

    @read
    @writes
    def rebuild(self, conversation_id: str) -> int:
        """Returns the version that a conversation's read model is of, after it was made anew from the events alone.

        Errors:
            Corrupt (`corrupt`): an event can't be read; `which`, `version`, `block`.
        """
        return self._core.rebuild(_KIND, (conversation_id,))


SYNC.ChatsStore = ChatsStore
