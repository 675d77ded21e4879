"""One application function, on plain JSON files and on treering: not a line of it differs.

    python examples/stores.py

The function is typed on the protocols of the stores that it needs, and knows nothing of where they keep anything. The
JSON files are what many programs begin with; what they lack (writers that wait for each other, history, one commit for
all of it) is what the stores of treering add.
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import treering
from treering import Listing, Receipt
from treering.messages import Conversation, MemoryEntry, MemorySource, Message
from treering.stores import Messages
from treering.stores.protocols import Chats, Memories


class Desk(Protocol):
    """What the application needs: two of the stores."""

    @property
    def memory(self) -> Memories: ...
    @property
    def chats(self) -> Chats: ...


def answer(desk: Desk, conversation: str, said: str, turn: str) -> str:
    """The application: remembers what it is told to, and answers. `turn` makes a retry harmless."""
    if said.startswith("remember: "):
        desk.memory.add("preference", said.removeprefix("remember: "), "explicit", command_id=turn)
    known = [entry.content for entry in desk.memory.get()]
    reply = f"I know {len(known)} of your preferences: {'; '.join(known) or 'none'}"
    both = [Message(role="user", content=said), Message(role="assistant", content=reply)]
    desk.chats.append(conversation, both, command_id=turn)
    return reply


class JsonFile:
    """A file that is read and written whole. One process, one writer, no history: good for a test."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"version": 0, "done": {}, "items": []}
        return dict(json.loads(self._path.read_text()))

    def _write(self, items: list[Any], expected_version: int | None, command_id: str | None) -> Receipt[Any]:
        before = self._read()
        if command_id in before["done"]:
            return Receipt(before["done"][command_id], True, None, 0, (), (), True)
        if expected_version not in (None, before["version"]):
            raise treering.VersionConflict(f"it is at version {before['version']}, you expected {expected_version}")
        version = before["version"] + 1
        done = {**before["done"], **({} if command_id is None else {command_id: version})}
        self._path.write_text(json.dumps({"version": version, "done": done, "items": items}))
        return Receipt(version, True, None, 0, (), (), False)


class JsonMemory(JsonFile):
    def get(self) -> Listing[MemoryEntry]:
        state = self._read()
        return Listing([MemoryEntry(**entry) for entry in state["items"]], state["version"])

    def save(
        self, entries: Iterable[MemoryEntry], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        return self._write([asdict(entry) for entry in entries], expected_version, command_id)

    def add(
        self,
        category: str,
        content: str,
        source: MemorySource | str = MemorySource.INFERRED,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[MemoryEntry]:
        entry = MemoryEntry(
            id=f"{len(self.get()):012x}", category=category, content=content, source=MemorySource(source)
        )
        return self._write([asdict(one) for one in (*self.get(), entry)], expected_version, command_id)

    def remove(self, id: str, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        kept = [entry for entry in self.get() if entry.id != id]
        return self.save(kept, expected_version=expected_version, command_id=command_id)

    def clear(self, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        return self.save([], expected_version=expected_version, command_id=command_id)

    def prompt_section(self, max_chars: int = 2000) -> str:
        return "\n".join(entry.content for entry in self.get())[:max_chars]


class JsonChat(JsonFile):
    """One conversation."""

    def messages(self) -> list[Message]:
        return [Message(**message) for message in self._read()["items"]]

    def write(self, messages: Iterable[Message], expected: int | None, command_id: str | None) -> Receipt[Conversation]:
        return self._write([asdict(message) for message in messages], expected, command_id)


class JsonChats:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _chat(self, conversation_id: str) -> JsonChat:
        return JsonChat(self._folder / f"chat-{conversation_id}.json")

    def index(self) -> Listing[Conversation]:
        names = sorted(path.stem.removeprefix("chat-") for path in self._folder.glob("chat-*.json"))
        return Listing([Conversation(id=name, message_count=len(self._chat(name).messages())) for name in names], 0)

    def messages(self, conversation_id: str) -> Messages:
        chat = self._chat(conversation_id)
        return Messages(chat.messages(), chat._read()["version"], Conversation(id=conversation_id))

    def save(
        self,
        conversation_id: str,
        meta: Conversation,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[Conversation]:
        receipt = self._chat(conversation_id).write(messages, expected_version, command_id)
        return replace(receipt, value=replace(meta, id=conversation_id))

    def append(
        self,
        conversation_id: str,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[Conversation]:
        chat = self._chat(conversation_id)
        return chat.write([*chat.messages(), *messages], expected_version, command_id)

    def delete(
        self, conversation_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[Conversation]:
        receipt = self._chat(conversation_id).write([], expected_version, command_id)
        (self._folder / f"chat-{conversation_id}.json").unlink()
        return receipt


class JsonDesk:
    """A desk over a folder of JSON files."""

    def __init__(self, folder: Path) -> None:
        self.memory = JsonMemory(folder / "memory.json")
        self.chats = JsonChats(folder)


def talk(desk: Desk) -> list[str]:
    """A conversation in three turns; the second one is tried twice, as after a lost answer."""
    turns = ["hello", "remember: answers in French", "remember: answers in French", "what do you know?"]
    ids = ["turn-1", "turn-2", "turn-2", "turn-3"]
    replies = [answer(desk, "conv-1", said, turn) for said, turn in zip(turns, ids, strict=True)]
    return [*replies, f"{len(desk.chats.messages('conv-1'))} messages, {len(desk.memory.get())} memory"]


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    on_files = talk(JsonDesk(folder))
    with treering.open(folder / "state") as store:
        alice = store.scope("alice")
        on_treering = talk(alice)
        history = [event.type.removeprefix("treering.v1.") for event in alice.chats.history("conv-1")]
        print("\n".join(on_treering))
        print("on files and on treering:", "the same" if on_files == on_treering else on_files)
        print("and treering knows how it came to be:", ", ".join(history))


if __name__ == "__main__":
    main()
