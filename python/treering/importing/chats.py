"""Chat histories → `scope.chats`: an index with a row for each conversation, and beside it a file for each.

A conversation is taken whole in one commit, or not at all. Its messages are an array, or one on each line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from treering.codec import encode
from treering.errors import Invalid, VersionConflict
from treering.importing.fields import Fields, elements, folded
from treering.importing.report import Notes, Refused, shown
from treering.importing.target import Done, Target, command_id, was_sent
from treering.messages import Conversation, Message

_ROWS: Final = ("conversations", "index", "chats")
_MESSAGES: Final = ("messages", "history")
#: What one `chats.save` takes.
_MESSAGES_MAX: Final = 4_094
#: UTF-8 bytes of a title; a longer one is cut, since nothing is named by it.
_TITLE_BYTES_MAX: Final = 1_024


def read_index(document: Any, notes: Notes) -> tuple[dict[str, Conversation], set[str]]:
    """Returns the rows of an index by their ids (`message_count` is what the row says), and the ids of refused rows."""
    rows: dict[str, Conversation] = {}
    refused_ids: set[str] = set()
    for path, element in elements(document, _ROWS, "id", notes):
        row_id = ""
        try:
            fields = Fields(element, path, notes)
            row_id = fields.name("id")
            row = _conversation(fields, notes)
            if row_id in rows:
                raise Refused(path, f"the id {shown(row_id)} comes twice")
        except Refused as refused:
            notes.take(refused)
            refused_ids.add(row_id)
        else:
            rows[row_id] = row
    return rows, refused_ids


def import_chat(
    target: Target, conversation_id: str, row: Conversation | None, document: Any, lines: bool, notes: Notes
) -> Done:
    """Takes a conversation that is not there. `lines`: the document is its messages, each with its line."""
    meta, messages = _whole(row, document, lines, notes)
    if len(messages) > _MESSAGES_MAX:
        notes.changed("$", f"of {len(messages):,} messages the newest {_MESSAGES_MAX:,} are looked at")
        messages = messages[-_MESSAGES_MAX:]
    meta = _completed(replace(meta, id=conversation_id), messages, notes)
    content = [encode(_values(message, Message)) for message in messages]
    command = command_id("chat", conversation_id, encode(_values(meta, Conversation)), *content)
    store = target.scope.chats
    if target.dry_run and (version := store.messages(conversation_id).version) > 0:
        if was_sent(
            lambda version: store.save(conversation_id, meta, messages, expected_version=version, command_id=command),
            store.history(conversation_id),
            command,
        ):
            return Done("there", 0)
        raise _taken(version)
    with target.writable() as scope:
        try:
            receipt = scope.chats.save(conversation_id, meta, messages, expected_version=0, command_id=command)
        except VersionConflict as error:
            raise _taken(error.attributes["actual"]) from None
        except Invalid as error:
            raise Refused("$", str(error)) from None
    if receipt.replayed:
        return Done("there", 0)
    if receipt.dropped:
        notes.changed(
            "$", f"the newest {len(messages) - receipt.dropped} messages are kept: {receipt.dropped} were not"
        )
    # A conversation without messages is something too.
    return Done("new", max(len(messages) - receipt.dropped, 1))


def _whole(row: Conversation | None, document: Any, lines: bool, notes: Notes) -> tuple[Conversation, list[Message]]:
    """What the file and the index say; where both say something, the index counts."""
    if lines:
        return row or Conversation(), [_message(value, "$", notes, line) for line, _, value in document]
    own = Conversation()
    if isinstance(document, dict) and any(folded(name) in _MESSAGES for name in document):
        fields = Fields(document, "$", notes)
        own = _conversation(fields, notes, nouns=_MESSAGES)
        name = next(name for name in document if folded(name) in _MESSAGES)
        document = {name: document[name]}
    found = [_message(element, path, notes, None) for path, element in elements(document, _MESSAGES, "id", notes)]
    if own == Conversation():
        return row or own, found
    if row is not None:
        kept = {name: value for name, value in _values(row, Conversation).items() if value}
        own = replace(own, **kept)
    return own, found


def _completed(meta: Conversation, messages: list[Message], notes: Notes) -> Conversation:
    """With the times that the messages tell, and a title that fits."""
    if meta.message_count not in (0, len(messages)):
        notes.changed("$", f"its row counts {meta.message_count} messages, there are {len(messages)}")
    if not meta.created_at_ms or not meta.updated_at_ms:
        told = [message.at_ms for message in messages if message.at_ms]
        says = "its messages say" if told else "nothing says: kept as of the import"
        notes.changed("$", f"when it began and was last changed, {says}")
        meta = replace(
            meta,
            created_at_ms=meta.created_at_ms or (min(told) if told else 0),
            updated_at_ms=meta.updated_at_ms or (max(told) if told else 0),
        )
    title = meta.title.encode()[:_TITLE_BYTES_MAX].decode(errors="ignore")
    if title != meta.title:
        notes.changed("$", f"a title has at most {_TITLE_BYTES_MAX:,} bytes: it was cut")
    return replace(meta, title=title, message_count=0)


def _conversation(fields: Fields, notes: Notes, nouns: Iterable[str] = ()) -> Conversation:
    found = Conversation(
        id=fields.text("id"),
        title=fields.text("title"),
        service_id=fields.text("serviceId"),
        service_kind=fields.text("serviceKind"),
        created_at_ms=fields.moment("createdAt") or 0,
        updated_at_ms=fields.moment("updatedAt") or 0,
        message_count=fields.number("messageCount", 0, 2**32 - 1),
        llm_route=fields.text("llmRoute"),
        llm_model=fields.text("llmModel"),
    )
    fields.end(but=nouns)
    return found


def _message(value: Any, path: str, notes: Notes, line: int | None) -> Message:
    fields = Fields(value, path, notes, line)
    message = Message(
        id=fields.text("id"),
        role=fields.name("role"),
        content=fields.text("content"),
        at_ms=fields.moment("timestamp") or 0,
        status=fields.text("status"),
        error=fields.text("error"),
        thinking=fields.text("thinking"),
    )
    fields.end()
    return message


def _values(message: Any, of: type[Any]) -> dict[str, Any]:
    names: Iterator[str] = iter(of.__dataclass_fields__)
    return {name: getattr(message, name) for name in names if name != "attachments"}


def _taken(version: int) -> Refused:
    return Refused(
        "$",
        f"the scope has, or had, another conversation of this id, at version {version}; nothing is overwritten",
    )
