"""A chat record ⇄ what a thread holds: the mapping, both ways, without a store.

- The first message, if its role is `system`, becomes the prompt; its other keys are kept in the parameters.
- Every other message is a step: role and content as they are, all other keys in meta. A message without a `content`
  key has `content: "absent"` in meta, which no real key can collide with: a message's own `content` is the content.
- What else the record holds goes to the parameters: `{"chat": {...how to rebuild...}, "record": {...the rest...}}`.
- The rest's top-level scalars are labels too, where they fit a label.

Promises: `to_record(conversation_of(r)) == r`, value for value. Never: a raw record in a block.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from treering import Cid
from treering.chat.reading import Refused
from treering.codec import encode
from treering.strict_json import join_path, unkept

#: The workflow name of imported conversations.
WORKFLOW = "chat"
#: What a message list may be called; the first that a record has is the one.
LIST_NAMES = ("messages", "traj")
#: In a step's meta: the message had no `content` key.
ABSENT = "absent"

_ROLE_BYTES_MAX = 256
_LABELS_MAX = 32
_LABEL_NAME_BYTES_MAX = 64
_LABEL_TEXT_BYTES_MAX = 256
_LABELS_BYTES_MAX = 2048
#: Where the rest of a record stands in the start node: node, parameters, record, then its members.
_REST_DEPTH = 4
#: Where the rest of the system message does: node, parameters, chat, system, then its members.
_SYSTEM_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One step-to-be, or one step as read."""

    role: str
    content: Any
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A record, taken apart."""

    digest: str
    prompt: Any
    parameters: dict[str, Any]
    labels: dict[str, str | int | float | bool | None]
    messages: list[Message]


def conversation_of(record: Any) -> Conversation:
    """Takes a parsed record apart.

    Raises `Refused` with the JSON path of what is not a chat record.
    """
    if not isinstance(record, dict):
        raise Refused("$", f"a record is an object, not {_kind(record)}")
    name = next((name for name in LIST_NAMES if name in record), None)
    if name is None:
        raise Refused("$", "has neither 'messages' nor 'traj'")
    path = f"$.{name}"
    listed = record[name]
    if not isinstance(listed, list):
        raise Refused(path, f"must be an array of messages, not {_kind(listed)}")
    for index, message in enumerate(listed):
        _check_message(message, join_path(path, index))

    chat: dict[str, Any] = {"list": name}
    prompt = None
    if listed and listed[0]["role"] == "system":
        system = {key: value for key, value in listed[0].items() if key != "role"}
        prompt = system.get("content")
        if prompt is not None:
            del system["content"]
        _check_depth(system, join_path(path, 0), _SYSTEM_DEPTH)
        chat["system"] = system
        listed = listed[1:]
    rest = {key: value for key, value in record.items() if key != name}
    _check_depth(rest, "$", _REST_DEPTH)
    return Conversation(
        # Of the encoding, not of a node: a record may be larger than a node can be.
        digest=str(Cid.of(encode(record))).removeprefix("bafkr4i"),
        prompt=prompt,
        parameters={"chat": chat, "record": rest},
        labels=_labels(rest),
        messages=[_message(message) for message in listed],
    )


def to_record(prompt: Any, parameters: Mapping[str, Any], messages: Iterable[Message]) -> dict[str, Any]:
    """Builds the record again.

    A thread that no import made has other parameters: they become the rest of the record, its prompt a system message.
    """
    listed: list[dict[str, Any]] = []
    if _is_imported(parameters):
        chat = parameters["chat"]
        name = str(chat["list"])
        rest = dict(parameters["record"])
        if "system" in chat:
            listed.append({"role": "system", **({} if prompt is None else {"content": prompt}), **chat["system"]})
    else:
        name = "messages"
        rest = dict(parameters)
        if prompt is not None:
            listed.append({"role": "system", "content": prompt})
    listed.extend(_to_message(message) for message in messages)
    return {**rest, name: listed}


def list_path(record: Mapping[str, Any]) -> str:
    """The JSON path of a record's messages."""
    return f"$.{next(name for name in LIST_NAMES if name in record)}"


def largest_part(record: Mapping[str, Any]) -> str:
    """The JSON path of what makes a record too large for its nodes; `$` where it is all beside the messages."""
    name = next(name for name in LIST_NAMES if name in record)
    parts = {"$": {key: value for key, value in record.items() if key != name}}
    for index, message in enumerate(record[name]):
        path = join_path(f"$.{name}", index)
        content = message.get("content")
        parts[path] = {key: value for key, value in message.items() if key != "content"}
        # A text has a block of its own where it is long.
        parts[join_path(path, "content")] = {} if isinstance(content, str) else {"content": content}
    return max(parts, key=lambda path: len(encode(parts[path])))


def _check_depth(members: Mapping[str, Any], path: str, depth: int) -> None:
    """Refuses what is not too deep in the record, but will be in the node that it goes to."""
    for key, value in members.items():
        if (found := unkept(value, join_path(path, key), depth)) is not None:
            raise Refused(*found)


def _check_message(message: Any, path: str) -> None:
    if not isinstance(message, dict):
        raise Refused(path, f"a message is an object, not {_kind(message)}")
    if "role" not in message:
        raise Refused(path, "a message without a role")
    role = message["role"]
    if not isinstance(role, str):
        raise Refused(f"{path}.role", f"a role is a string, not {_kind(role)}")
    if not role.strip():
        raise Refused(f"{path}.role", "a role can't be blank")
    if len(role.encode()) > _ROLE_BYTES_MAX:
        raise Refused(f"{path}.role", f"a role has at most {_ROLE_BYTES_MAX} bytes")
    if role.startswith("__") and role.endswith("__"):
        raise Refused(f"{path}.role", f"the role {role} is reserved")


def _is_imported(parameters: Mapping[str, Any]) -> bool:
    """Whether the parameters are those that an import writes, whoever wrote them."""
    chat, rest = parameters.get("chat"), parameters.get("record")
    return (
        parameters.keys() == {"chat", "record"}
        and isinstance(chat, Mapping)
        and isinstance(rest, Mapping)
        and chat.get("list") in LIST_NAMES
        and chat.keys() <= {"list", "system"}
        and isinstance(chat.get("system", {}), Mapping)
    )


def _message(message: Mapping[str, Any]) -> Message:
    meta = {key: value for key, value in message.items() if key not in ("role", "content")}
    if "content" not in message:
        meta["content"] = ABSENT
    return Message(message["role"], message.get("content"), meta)


def _to_message(message: Message) -> dict[str, Any]:
    meta = dict(message.meta)
    if meta.get("content") == ABSENT and message.content is None:
        del meta["content"]
        return {**meta, "role": message.role}
    return {**meta, "role": message.role, "content": message.content}


def _labels(rest: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """The top-level scalars that fit a label, in the record's order until the record of a thread would be full."""
    labels: dict[str, str | int | float | bool | None] = {}
    left = _LABELS_BYTES_MAX
    for key, value in rest.items():
        if not key.strip() or len(key.encode()) > _LABEL_NAME_BYTES_MAX or not _fits_label(value):
            continue
        left -= len(key.encode()) + (len(value.encode()) if isinstance(value, str) else 8)
        if left < 0 or len(labels) == _LABELS_MAX:
            break
        labels[key] = value
    return labels


def _fits_label(value: Any) -> bool:
    if isinstance(value, str):
        return len(value.encode()) <= _LABEL_TEXT_BYTES_MAX
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, float)


def _kind(value: Any) -> str:
    """The JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"
