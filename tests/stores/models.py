"""Each store once more, in plain Python: no events, no snapshots, no blocks. What random commands are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catalog_shapes import normal_connector, normal_role, roles, said_connectors
from hypothesis import strategies as st

from treering import Scope
from treering.messages import Conversation, MemoryEntry, Message, UserConfig
from treering.stores import Receipt

LOCAL = "http://127.0.0.1:5080"
CAP, KEPT = 50, 500

Command = tuple[Any, ...]
Did = tuple[int, int]
"""Events, and how much was dropped."""


class Model:
    """A store of one actor. `views` are what it showed after each version that a command ended with."""

    commands: st.SearchStrategy[Command]

    def __init__(self) -> None:
        self.version = 0
        self.views: dict[int, Any] = {0: self.view()}

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        """Does it in the real store."""
        raise NotImplementedError

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        """Does it here. Of the receipt only what chance made of it is used."""
        raise NotImplementedError

    def view(self) -> Any:
        """What the store must show."""
        raise NotImplementedError

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        """What it shows, now or at a version, and which that is."""
        raise NotImplementedError

    def verify(self, scope: Scope) -> int:
        raise NotImplementedError

    def step(self, scope: Scope, command: Command, now_ms: int) -> None:
        receipt = self.send(scope, command)
        events, dropped = self.apply(command, now_ms, receipt)
        self.version += events
        assert (receipt.version, receipt.changed, receipt.dropped) == (self.version, events > 0, dropped)
        self.views[self.version] = self.view()
        assert self.read(scope, None) == (self.view(), self.version)

    def check(self, scope: Scope) -> None:
        """All of the past, and the log itself."""
        for version, view in self.views.items():
            assert self.read(scope, version) == (view, version)
        assert self.verify(scope) == self.version


class ConfigModel(Model):
    FIELDS = ("default_model", "runtime_mode", "local_runtime_base_url", "preferred_llm_route", "max_tool_rounds")
    VALUES = st.fixed_dictionaries(
        {},
        optional={
            "default_model": st.sampled_from(["", "a", "b"]),
            "runtime_mode": st.sampled_from(["", "local", " REMOTE ", "remote"]),
            "local_runtime_base_url": st.sampled_from(["", " ", "http://x/", LOCAL]),
            "preferred_llm_route": st.sampled_from(["", "Auto", "fast", "/fast", "//x", "a://b"]),
            "max_tool_rounds": st.integers(0, 2),
        },
    )
    commands = st.tuples(st.sampled_from(["save", "update", "update"]), VALUES)

    def __init__(self) -> None:
        self.fields = self.normal({})
        super().__init__()

    @staticmethod
    def normal(given: dict[str, Any], *, partial: bool = False) -> dict[str, Any]:
        rules: dict[str, Callable[[Any], Any]] = {
            "default_model": lambda value: value,
            "runtime_mode": lambda value: "remote" if value.strip().lower() == "remote" else "local",
            "local_runtime_base_url": lambda value: value.strip().rstrip("/") or LOCAL,
            "preferred_llm_route": lambda value: (
                ""
                if value.lower() in ("", "auto") or value.startswith("//") or "://" in value
                else value
                if value.startswith("/")
                else f"/api/v1/proxy/s/{value}"
            ),
            "max_tool_rounds": lambda value: value,
        }
        empty: dict[str, Any] = dict.fromkeys(rules, "") | {"max_tool_rounds": 0}
        return {name: rules[name](value) for name, value in (given if partial else empty | given).items()}

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        verb, fields = command
        return scope.user_config.save(UserConfig(**fields)) if verb == "save" else scope.user_config.update(**fields)

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        verb, fields = command
        before = self.fields
        self.fields = self.normal(fields) if verb == "save" else before | self.normal(fields, partial=True)
        return int(self.fields != before), 0

    def view(self) -> Any:
        return tuple(self.fields[name] for name in self.FIELDS)

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        config = scope.user_config.get() if version is None else scope.user_config.at(version)
        return tuple(getattr(config, name) for name in self.FIELDS), config.version

    def verify(self, scope: Scope) -> int:
        return scope.user_config.verify()


class MemoryModel(Model):
    # Around the cap more often than not.
    NUMBERS = st.builds(
        lambda first, count: [(first + number) % 80 for number in range(count)],
        st.integers(0, 79),
        st.sampled_from([0, 1, 5, 30, 48, 49, 50, 51, 60]),
    )
    commands = st.one_of(
        st.tuples(st.just("add"), st.sampled_from(["a", " A", "b", ""])),
        st.tuples(st.just("add"), st.sampled_from(["a", "c"])),
        st.tuples(st.just("save"), NUMBERS),
        st.tuples(st.just("more"), NUMBERS),
        st.tuples(st.just("remove"), st.integers(0, 60)),
        st.tuples(st.just("clear")),
    )

    def __init__(self) -> None:
        self.entries: list[MemoryEntry] = []
        super().__init__()

    def target(self, command: Command) -> list[MemoryEntry]:
        """Entries of a pool; "more" has those that are there, too."""
        verb, numbers = command
        there = self.entries if verb == "more" else []
        known = {entry.id for entry in there}
        made = [
            MemoryEntry(
                id=f"{number:012x}",
                category="ab"[number % 2],
                content="x",
                created_at_ms=1 + number % 7,
                updated_at_ms=5,
            )
            for number in numbers
        ]
        return [*there, *(entry for entry in made if entry.id not in known)]

    def named(self, index: int) -> str:
        return self.entries[index].id if index < len(self.entries) else "nothing"

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        match command:
            case ("add", category):
                return scope.memory.add(category, "said")
            case ("remove", index):
                return scope.memory.remove(self.named(index))
            case ("clear",):
                return scope.memory.clear()
        return scope.memory.save(self.target(command))

    def put(self, entry: MemoryEntry) -> list[str]:
        """As the contract has it, word by word."""
        self.entries = [*self.entries, entry]
        evicted = []
        while len(self.entries) > CAP:
            others = self.entries[:-1]
            same = [other for other in others if other.category == entry.category] or others
            oldest = min(same, key=lambda other: other.created_at_ms)
            evicted.append(oldest.id)
            self.entries = [other for other in self.entries if other is not oldest]
        return evicted

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        match command:
            case ("add", category):
                entry = MemoryEntry(
                    id=receipt.value.id,
                    category=category.strip().lower() or "context",
                    content="said",
                    created_at_ms=now_ms,
                    updated_at_ms=now_ms,
                )
                evicted = self.put(entry)
                assert list(receipt.dropped_ids) == evicted
                return 1, len(evicted)
            case ("remove", index):
                id = self.named(index)
                before, self.entries = self.entries, [entry for entry in self.entries if entry.id != id]
                return len(before) - len(self.entries), 0
            case ("clear",):
                count, self.entries = len(self.entries), []
                return int(count > 0), count
        target = self.target(command)
        wanted = {entry.id for entry in target}
        before = {entry.id for entry in self.entries}
        self.entries = [entry for entry in self.entries if entry.id in wanted]
        evicted = [id for entry in target if entry.id not in before for id in self.put(entry)]
        assert list(receipt.dropped_ids) == evicted
        return len(before - wanted) + len(wanted - before), len(evicted)

    def view(self) -> Any:
        return tuple(self.entries)

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        entries = scope.memory.get() if version is None else scope.memory.at(version)
        return tuple(entries), entries.version

    def verify(self, scope: Scope) -> int:
        return scope.memory.verify()


class AgentsModel(Model):
    commands = st.tuples(
        st.sampled_from(["add", "add", "remove"]), st.sampled_from(["t", "u", "v"]), st.sampled_from("abcd")
    )

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {}
        super().__init__()

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        verb, agent_type, actor_id = command
        return getattr(scope.agents, verb)(agent_type, actor_id)  # type: ignore[no-any-return]

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        verb, agent_type, actor_id = command
        there = actor_id in self.groups.get(agent_type, [])
        if verb == "add" and not there:
            self.groups.setdefault(agent_type, []).append(actor_id)
        elif verb == "remove" and there:
            self.groups[agent_type].remove(actor_id)
            if not self.groups[agent_type]:
                del self.groups[agent_type]
        return int((verb == "add") != there), 0

    def view(self) -> Any:
        return tuple((agent_type, tuple(ids)) for agent_type, ids in self.groups.items())

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        groups = scope.agents.list() if version is None else scope.agents.at(version)
        return tuple((group.agent_type, group.actor_ids) for group in groups), groups.version

    def verify(self, scope: Scope) -> int:
        return scope.agents.verify()


class RoomsModel(Model):
    ROOMS = ("r", "s")
    commands = st.one_of(
        st.tuples(st.just("add"), st.sampled_from(ROOMS), st.sampled_from("abcd"), st.sampled_from(["", "N", "M"])),
        st.tuples(st.just("remove"), st.sampled_from(ROOMS), st.sampled_from("abcd")),
        st.tuples(st.just("remove_room"), st.sampled_from(ROOMS)),
    )

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, tuple[str, int]]] = {room: {} for room in self.ROOMS}
        super().__init__()

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        return getattr(scope.participants, command[0])(*command[1:])  # type: ignore[no-any-return]

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        room = self.rooms[command[1]]
        match command:
            case ("add", _, agent, name):
                room.pop(agent, None)
                room[agent] = (name or agent, now_ms)
                return 1, 0
            case ("remove", _, agent):
                return int(room.pop(agent, None) is not None), 0
        count = len(room)
        room.clear()
        return int(count > 0), count

    def view(self) -> Any:
        return tuple(tuple((agent, *its) for agent, its in self.rooms[room].items()) for room in self.ROOMS)

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        store = scope.participants
        rooms = [store.list(room) if version is None else store.at(room, version) for room in self.ROOMS]
        shown = tuple(tuple((one.agent_id, one.display_name, one.joined_at_ms) for one in room) for room in rooms)
        return shown, rooms[0].version

    def verify(self, scope: Scope) -> int:
        return scope.participants.verify()


class SourcesModel(Model):
    commands = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y", "z"]))

    def __init__(self) -> None:
        self.sources: dict[str, tuple[str, int]] = {}
        super().__init__()

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        return scope.scripts.upload(*command)

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        id, source = command
        if self.sources.get(id, (None,))[0] == source:
            return 0, 0
        self.sources[id] = (source, now_ms)
        return 1, 0

    def view(self) -> Any:
        return tuple((id, *its) for id, its in sorted(self.sources.items()))

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        scripts = scope.scripts.list(version)
        return tuple((one.id, one.source, one.uploaded_at_ms) for one in scripts), scripts.version

    def verify(self, scope: Scope) -> int:
        return scope.scripts.verify()


class FilesModel(Model):
    """Bytes None: the file is deleted."""

    commands = st.tuples(
        st.sampled_from(["a", "b", "a/b", "c.md"]),
        st.none() | st.sampled_from([b"x", b"y", b"z" * 70_000, b"w" * 300_000]),
        st.sampled_from([None, "text/plain"]),
    )

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str, int]] = {}
        super().__init__()

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        path, data, media = command
        return scope.files.delete(path) if data is None else scope.files.put(path, data, media)

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        path, data, media = command
        if data is None:
            return int(self.files.pop(path, None) is not None), 0
        media = media or ("text/markdown" if path.endswith(".md") else "application/octet-stream")
        if self.files.get(path, (None, None))[:2] == (data, media):
            return 0, 0
        self.files[path] = (data, media, now_ms)
        return 1, 0

    def view(self) -> Any:
        return tuple((path, *its) for path, its in sorted(self.files.items()))

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        files = scope.files.list() if version is None else scope.files.at(version)
        # The views are of other stores.
        own = [one for one in files if not one.path.startswith(("workflows/", "scripts/"))]

        def content(path: str) -> bytes:
            with scope.files.open(path, version=version) as file:
                return file.read()

        return tuple((one.path, content(one.path), one.content_type, one.updated_at_ms) for one in own), files.version

    def verify(self, scope: Scope) -> int:
        return scope.files.verify()


class ChatModel(Model):
    """One conversation; `others` of the list are those of other models of the same scope."""

    SIZES = st.sampled_from([0, 1, 1, 1, 2, 3, 33, 120, 499, 501])
    commands = st.one_of(
        st.tuples(st.just("append"), st.just(""), SIZES),
        st.tuples(st.just("append"), st.just(""), st.sampled_from([1, 2, 3, 40])),
        st.tuples(st.just("save"), st.sampled_from(["", "T"]), SIZES),
        st.sampled_from([("delete",), ("append", "", 1), ("append", "", 31)]),
    )

    def __init__(self, id: str = "c") -> None:
        self.id = id
        self.row: Conversation | None = None
        self.messages: list[str] = []
        self.counter = self.floor = 0
        super().__init__()

    def said(self, count: int) -> list[str]:
        return [f"{self.counter + number}" for number in range(count)]

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        match command:
            case ("delete",):
                return scope.chats.delete(self.id)
            case ("append", _, count):
                return scope.chats.append(self.id, [Message(content=text) for text in self.said(count)])
        _, title, count = command
        meta = Conversation(id="not it", title=title)
        return scope.chats.save(self.id, meta, [Message(content=text) for text in self.said(count)])

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        if command == ("delete",):
            if self.row is None:
                return 0, 0
            dropped, self.row, self.messages = len(self.messages), None, []
            self.views, self.floor = {}, self.version + 1
            return 1, dropped
        verb, title, count = command
        if verb == "append" and not count:
            return 0, 0
        before = self.messages if verb == "append" else []
        everything = [*before, *self.said(count)]
        self.counter += count
        self.messages = everything[-KEPT:]
        old = self.row if verb == "append" else Conversation(title=title)
        self.row = Conversation(
            id=self.id,
            title=old.title if old else "",
            created_at_ms=old.created_at_ms if old and old.created_at_ms else now_ms,
            updated_at_ms=now_ms,
            message_count=len(self.messages),
        )
        return 1, len(everything) - len(self.messages)

    def view(self) -> Any:
        return self.row, tuple(self.messages)

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        messages = scope.chats.messages(self.id) if version is None else scope.chats.at(self.id, version)
        return (messages.conversation, tuple(message.content for message in messages)), messages.version

    def verify(self, scope: Scope) -> int:
        # Only what came after the last deletion is left of its log.
        return scope.chats.verify(self.id) + self.floor


class CatalogModel(Model):
    """A catalog and its draft; `of` says of what, `normal` is the rules of one."""

    of: str
    key: str
    normal: Callable[[Any], Any]

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.saved = False
        self.draft: tuple[Any, int] | None = None
        super().__init__()

    def store(self, scope: Scope) -> Any:
        return getattr(scope, self.of)

    def whole(self, items: list[Any]) -> list[Any]:
        """Without those whose key came before, or is none: a catalog takes all or nothing."""
        kept: dict[str, Any] = {}
        for item in items:
            key = getattr(item, self.key).strip().lower()
            if key:
                kept.setdefault(key, item)
        return list(kept.values())

    def send(self, scope: Scope, command: Command) -> Receipt[Any]:
        match command:
            case ("save", items):
                return self.store(scope).save(self.whole(items))  # type: ignore[no-any-return]
            case ("save_draft", item):
                return self.store(scope).save_draft(item)  # type: ignore[no-any-return]
            case ("again",):
                return self.store(scope).save(self.items)  # type: ignore[no-any-return]
        return self.store(scope).delete_draft()  # type: ignore[no-any-return]

    def apply(self, command: Command, now_ms: int, receipt: Receipt[Any]) -> Did:
        before = (self.items, self.saved, self.draft)
        match command:
            case ("save", items):
                self.items, self.saved = [type(self).normal(item) for item in self.whole(items)], True
            case ("again",):
                self.saved = True
            case ("save_draft", item):
                self.draft = (item and type(self).normal(item), now_ms)
            case _:
                self.draft = None
        return int((self.items, self.saved, self.draft) != before), 0

    def view(self) -> Any:
        return tuple(self.items), self.saved, self.draft

    def read(self, scope: Scope, version: int | None) -> tuple[Any, int]:
        catalog = self.store(scope).get() if version is None else self.store(scope).at(version)
        draft = catalog.draft and (catalog.draft.item, catalog.draft.updated_at_ms)
        return (tuple(catalog), catalog.exists, draft), catalog.version

    def verify(self, scope: Scope) -> int:
        return int(self.store(scope).verify())


_KEYS = st.sampled_from(["a", "A", " b ", "c", "É", "é", ""])


def _commands(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Command]:
    return st.one_of(
        st.tuples(st.just("save"), st.lists(items, max_size=3)),
        st.tuples(st.just("save_draft"), st.none() | items),
        st.sampled_from([("again",), ("delete_draft",), ("save", [])]),
    )


class ConnectorsModel(CatalogModel):
    of, key, normal = "connectors", "name", staticmethod(normal_connector)
    commands = _commands(said_connectors(_KEYS))


class RolesModel(CatalogModel):
    of, key, normal = "roles", "id", staticmethod(normal_role)
    commands = _commands(roles(_KEYS))
