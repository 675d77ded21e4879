"""Every verb of every store once, as a call that changes something: what the shared rules are tried on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from treering.messages import CliConnector, Connector, Conversation, MemoryEntry, Message, Role, UserConfig


@dataclass(frozen=True)
class Verb:
    """`call(scope, **options)` does it, `other` is the same verb with another payload."""

    name: str
    call: Callable[..., Any]
    other: Callable[..., Any]
    version: Callable[[Any], int]
    """Of the actor that it addresses."""
    prepare: Callable[[Any], object] = lambda scope: None
    """Makes that there is something to do."""

    @property
    def takes_away(self) -> bool:
        """It does nothing before `prepare`."""
        return "remove" in self.name or self.name == "files.delete"

    def __str__(self) -> str:
        return self.name


def said(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def entry(number: int) -> MemoryEntry:
    return MemoryEntry(id=f"{number:012x}", content=f"entry {number}")


def verb(store: str, name: str, *arguments: Any, other: tuple[Any, ...], version: Any, prepare: Any = None) -> Verb:
    def bound(given: tuple[Any, ...]) -> Callable[..., Any]:
        keywords = given[0] if given and isinstance(given[0], dict) else None

        def call(scope: Any, **options: Any) -> Any:
            method = getattr(getattr(scope, store), name)
            return method(**keywords, **options) if keywords is not None else method(*given, **options)

        return call

    return Verb(f"{store}.{name}", bound(arguments), bound(other), version, prepare or (lambda scope: None))


def _config(scope: Any) -> int:
    return int(scope.user_config.get().version)


def _retention(scope: Any) -> int:
    return int(scope.retention.get().version)


def _memory(scope: Any) -> int:
    return int(scope.memory.get().version)


def _agents(scope: Any) -> int:
    return int(scope.agents.list().version)


def _rooms(scope: Any) -> int:
    return int(scope.participants.list("r").version)


def _chat(scope: Any) -> int:
    return int(scope.chats.messages("c").version)


def _connectors(scope: Any) -> int:
    return int(scope.connectors.get().version)


def _roles(scope: Any) -> int:
    return int(scope.roles.get().version)


def connector(name: str) -> Connector:
    return Connector(name=name, type="cli", cli=CliConnector(command="x"))


def _files(scope: Any) -> int:
    return int(scope.files.list().version)


VERBS = [
    verb("user_config", "save", UserConfig(default_model="a"), other=(UserConfig(default_model="b"),), version=_config),
    verb("user_config", "update", {"max_tool_rounds": 5}, other=({"max_tool_rounds": 6},), version=_config),
    verb("retention", "set", {"keep": 5}, other=({"keep": 6},), version=_retention),
    verb("memory", "add", "k", "a", other=("k", "b"), version=_memory),
    verb(
        "memory",
        "remove",
        entry(1).id,
        other=(entry(2).id,),
        version=_memory,
        prepare=lambda scope: scope.memory.save([entry(1), entry(2)]),
    ),
    verb("memory", "save", [entry(1)], other=([entry(2)],), version=_memory),
    verb("agents", "add", "t", "a", other=("t", "b"), version=_agents),
    verb(
        "agents",
        "remove",
        "t",
        "a",
        other=("t", "b"),
        version=_agents,
        prepare=lambda scope: scope.agents.add("t", "a"),
    ),
    verb("participants", "add", "r", "a", "A", other=("r", "a", "B"), version=_rooms),
    verb(
        "participants",
        "remove",
        "r",
        "a",
        other=("r", "b"),
        version=_rooms,
        prepare=lambda scope: scope.participants.add("r", "a"),
    ),
    verb(
        "participants",
        "remove_room",
        "r",
        other=("s",),
        version=_rooms,
        prepare=lambda scope: scope.participants.add("r", "a"),
    ),
    verb(
        "chats",
        "save",
        "c",
        Conversation(title="a"),
        said("a"),
        other=("c", Conversation(title="b"), said("a")),
        version=_chat,
    ),
    verb("chats", "append", "c", said("a"), other=("c", said("b")), version=_chat),
    verb(
        "workflows",
        "upload",
        "w",
        "n",
        "a",
        other=("w", "n", "b"),
        version=lambda scope: int(scope.workflows.list().version),
    ),
    verb("scripts", "upload", "s", "a", other=("s", "b"), version=lambda scope: int(scope.scripts.list().version)),
    verb("connectors", "save", [connector("a")], other=([connector("b")],), version=_connectors),
    verb("connectors", "save_draft", connector("a"), other=(None,), version=_connectors),
    verb("roles", "save", [Role(id="a")], other=([],), version=_roles),
    verb("roles", "save_draft", Role(id="a"), other=(Role(id="b"),), version=_roles),
    verb("files", "put", "f", b"a", other=("f", b"b"), version=_files),
    verb(
        "files",
        "delete",
        "f",
        other=("g",),
        version=_files,
        prepare=lambda scope: [scope.files.put("f", b"a"), scope.files.put("g", b"a")],
    ),
]
"""Those that take something beside the actor's address."""

BARE = [
    verb("memory", "clear", other=(), version=_memory, prepare=lambda scope: scope.memory.add("k", "a")),
    verb("chats", "delete", "c", other=("c",), version=_chat, prepare=lambda scope: scope.chats.append("c", said("a"))),
    verb(
        "connectors",
        "delete_draft",
        other=(),
        version=_connectors,
        prepare=lambda scope: scope.connectors.save_draft(connector("a")),
    ),
    verb("roles", "delete_draft", other=(), version=_roles, prepare=lambda scope: scope.roles.save_draft(Role(id="a"))),
]
"""Those that don't."""
