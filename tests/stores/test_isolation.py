"""Nothing crosses: all pairs of hostile names, for scopes and for every id in one.

Each name writes what only it would write; then each must read exactly its own. With n names that looks at all n² pairs:
a name that was seen under another would show a foreign value there.
"""

from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hostile import IDS

import treering
from treering import Commit, LimitExceeded, Source, SourceEvent, Store
from treering.messages import Admission, CliConnector, Connector, Message, Role, UserConfig

CHUNK = 40


def mark(name: str) -> str:
    """What is written under a name."""
    return f"of {name!r}"


def path_of(name: str) -> str:
    """A file for each name; most of them are no paths."""
    return name.encode().hex()


def said(name: str) -> list[Message]:
    return [Message(role="user", content=mark(name))]


def test_the_names_are_all_different_and_many() -> None:
    assert len(set(IDS)) == len(IDS) > 90


def told_contents(view: list[list[str]], event: SourceEvent, commit: Commit) -> list[list[str]]:
    """Whose memory, and what it is about."""
    return [*view, [event.source.scope, event.message.entry.content]]


def test_scopes(store: Store) -> None:
    """The same ids in each of them, and each of its own."""
    for name in IDS:
        scope = store.scope(name)
        with scope.commit() as c:
            c.user_config.update(default_model=mark(name))
            c.memory.add("k", mark(name))
            c.agents.add("type", mark(name))
            c.participants.add("room", mark(name))
            c.chats.append("index", said(name))
            c.workflows.upload("w", "", mark(name))
            c.scripts.upload("s", mark(name))
            c.connectors.save([Connector(name="x", type="cli", cli=CliConnector(command=mark(name)))])
            c.connectors.save_draft(Connector(name=mark(name)))
            c.roles.save([Role(id="x", system_prompt=mark(name))])
            c.files.put("f", mark(name).encode())
            c.threads.start("w", key="key", labels={"of": mark(name)[:200]})
        scope.projection("p", kinds=["user-memory"], start=[]).catch_up(told_contents)
    for name in IDS:
        scope = store.scope(name)
        assert scope.name == name
        assert scope.projection("p", start=[]).get().value == [[name, mark(name)]]
        assert (scope.user_config.get().default_model, scope.user_config.get().version) == (mark(name), 1)
        assert scope.llm_preferences.get().default_model == mark(name)
        assert [entry.content for entry in scope.memory.get()] == [mark(name)]
        assert [group.actor_ids for group in scope.agents.list()] == [(mark(name),)]
        assert [one.agent_id for one in scope.participants.list("room")] == [mark(name)]
        assert [row.id for row in scope.chats.index()] == ["index"]
        assert [message.content for message in scope.chats.messages("index")] == [mark(name)]
        assert [one.yaml for one in scope.workflows.list()] == [mark(name)]
        assert [one.source for one in scope.scripts.list()] == [mark(name)]
        assert [one.cli and one.cli.command for one in scope.connectors.get()] == [mark(name).strip()]
        draft = scope.connectors.draft()
        assert draft is not None
        assert draft.item == Connector(name=mark(name).strip(), timeout_ms=30_000)
        assert [one.system_prompt for one in scope.roles.get()] == [mark(name)]
        with scope.files.open("f") as file:
            assert file.read() == mark(name).encode()
        assert scope.threads.get("key").labels == {"of": mark(name)[:200]}


def test_the_stores_of_one_scope_are_apart(store: Store) -> None:
    """One kind written at a time: no other kind sees anything."""
    writes = {
        "user_config": lambda s: s.user_config.save(UserConfig(default_model="x")),
        "retention": lambda s: s.retention.set(keep=5),
        "memory": lambda s: s.memory.add("k", "x"),
        "agents": lambda s: s.agents.add("t", "x"),
        "participants": lambda s: s.participants.add("r", "x"),
        "chats": lambda s: s.chats.append("c", said("x")),
        "workflows": lambda s: s.workflows.upload("w", "", "x"),
        "scripts": lambda s: s.scripts.upload("s", "x"),
        "connectors": lambda s: s.connectors.save([]),
        "roles": lambda s: s.roles.save_draft(None),
        "files": lambda s: s.files.put("s", b"x"),
    }
    reads = {
        "user_config": lambda s: s.user_config.get().version,
        "retention": lambda s: s.retention.get().version,
        "memory": lambda s: s.memory.get().version,
        "agents": lambda s: s.agents.list().version,
        "participants": lambda s: s.participants.list("r").version,
        "chats": lambda s: s.chats.index().version + s.chats.messages("c").version - 1,
        "workflows": lambda s: s.workflows.list().version,
        "scripts": lambda s: s.scripts.list().version,
        "connectors": lambda s: s.connectors.get().version,
        "roles": lambda s: s.roles.get().version,
        "files": lambda s: s.files.list().version,
    }
    for name, write in writes.items():
        scope = store.scope(name)
        write(scope)
        seen = {store: read(scope) for store, read in reads.items()}
        assert seen == {store: (-1 if store == "chats" else 0) for store in reads} | {name: 1}


def test_ids_within_a_scope(store: Store) -> None:
    scope = store.scope("alice")
    for first in range(0, len(IDS), CHUNK):
        with scope.commit() as c:
            for name in IDS[first : first + CHUNK]:
                c.chats.append(name, said(name))
                c.participants.add(name, mark(name))
                c.participants.add("everybody", name)
                c.agents.add(name, mark(name))
                c.agents.add("type", name)
                c.workflows.upload(name, "", mark(name))
                c.scripts.upload(name, mark(name))
                c.files.put(path_of(name), mark(name).encode())
    assert {row.id for row in scope.chats.index()} == set(IDS)
    assert len(scope.chats.index()) == len(IDS)
    assert [one.agent_id for one in scope.participants.list("everybody")] == IDS
    groups = {group.agent_type: group.actor_ids for group in scope.agents.list()}
    assert groups == {name: (mark(name),) for name in IDS} | {"type": tuple(IDS)}
    for name in IDS:
        messages = scope.chats.messages(name)
        assert ([message.content for message in messages], messages.version) == ([mark(name)], 1)
        assert messages.conversation is not None
        assert messages.conversation.id == name
        assert [one.agent_id for one in scope.participants.list(name)] == [mark(name)]
        assert (scope.workflows.get(name).yaml, scope.scripts.get(name).source) == (mark(name), mark(name))  # type: ignore[union-attr]
        assert [event.message.id for event in scope.workflows.history(name)] == [name]  # type: ignore[attr-defined]
        assert scope.agents.authorize("type", name, "use") is Admission.ALLOWED
        with scope.files.open(path_of(name)) as file:
            assert file.read() == mark(name).encode()
    # Taking one away takes no other.
    gone = set()
    for name in IDS[::2]:
        gone.add(name)
        scope.chats.delete(name)
        scope.participants.remove_room(name)
        scope.agents.remove("type", name)
    for name in IDS:
        assert len(scope.chats.messages(name)) == len(scope.participants.list(name)) == int(name not in gone)
    assert {row.id for row in scope.chats.index()} == set(IDS) - gone
    assert {group.agent_type: group.actor_ids for group in scope.agents.list()}["type"] == tuple(
        name for name in IDS if name not in gone
    )


def test_projections_within_a_scope(store: Store) -> None:
    """One of each name, following a conversation of each name in a scope of each name; each sees its own alone."""
    scope = store.scope("team")
    for name in IDS:
        other = store.scope(name)
        other.chats.append(name, said(name))

        def note(view: list[str], event: SourceEvent, commit: Commit, name: str = name) -> list[str]:
            return [*view, name, event.source.scope, *event.source.parts]

        assert scope.projection(name, of=other, kinds=["chat"], start=list[str]()).catch_up(note).events == 1
    assert {info.name for info in scope.projections()} == set(IDS)
    assert list(scope.actors()) == []
    for name in IDS:
        projection = scope.projection(name, of=store.scope(name), kinds=["chat"], start=list[str]())
        assert projection.get().value == [name] * 3
        assert projection.checkpoint() == {Source(name, "chat", (name,)): 1}
    everything = scope.projection("everything", of=map(store.scope, IDS), kinds=["chat"], start=0)
    assert everything.catch_up(lambda view, event, commit: view + 1).events == len(IDS)
    assert everything.checkpoint() == {Source(name, "chat", (name,)): 1 for name in IDS}
    for name in IDS[::2]:
        scope.projection(name).delete()
    assert {info.name for info in scope.projections()} == {*IDS[1::2], "everything"}


def test_no_two_addresses_render_alike(store: Store) -> None:
    """Every (kind, scope, parts) is a ref of its own, from whose name it can be told."""
    expected = set()
    for number, name in enumerate(IDS):
        scope = store.scope(name)
        others = [IDS[(number * step + step) % len(IDS)] for step in (1, 7, 31)]
        with scope.commit() as c:
            c.memory.add("k", "x")
            c.user_config.update(default_model="x")
            c.agents.add("t", "a")
            c.participants.add("r", "a")
            c.workflows.upload("w", "", "x")
            c.scripts.upload("s", "x")
            c.connectors.save_draft(None)
            c.roles.save([])
            for other in others:
                c.chats.append(other, said("x"))
        for other in others:
            scope.projection(other, kinds=["user-memory"]).catch_up(lambda view, event, commit: view)
        kinds = ["user-memory", "user-config", "agent-registry", "participants", "workflow-storage", "script-storage"]
        kinds += ["connector-catalog", "role-catalog"]
        expected |= {(kind, name, ()) for kind in [*kinds, "chat-index"]}
        expected |= {(kind, name, (other,)) for other in others for kind in ("chat", "projection")}
    refs = [ref.name for ref in store.refs.list()]
    assert len(refs) == len(set(refs)) == len(expected)
    assert {told(ref) for ref in refs} == expected


def told(ref: str) -> tuple[str, str, tuple[str, ...]]:
    """The triple of a ref's name."""
    scope, kind, *parts = ref.split("/")

    def text(segment: str) -> str:
        return unquote_to_bytes(segment).decode()

    return kind, text(scope), tuple(map(text, parts)) if parts != [""] else ()


def test_a_separator_in_a_part_is_no_separator(store: Store) -> None:
    store.scope("a").chats.append("b/c", said("one"))
    store.scope("a/b").chats.append("c", said("two"))
    store.scope("a/chat").chats.append("b", said("three"))
    store.scope("a").chats.append("b%2Fc", said("four"))
    names = {ref.name for ref in store.refs.list() if ref.kind == "chat"}
    assert len(names) == 4
    assert [store.scope(scope).chats.messages(id)[0].content for scope, id in [("a", "b/c"), ("a/b", "c")]] == [
        mark("one"),
        mark("two"),
    ]


@pytest.mark.parametrize("letter", ["x", "é", "/", "\0", "\U0001f600"])
def test_the_longest_names(store: Store, letter: str) -> None:
    """Whatever is taken is kept apart from what is one character shorter; what is too long is refused."""

    def taken(write: object, most: int) -> int:
        low, high = 1, most
        while high - low > 1:
            middle = (low + high) // 2
            try:
                write(letter * middle)  # type: ignore[operator]
            except LimitExceeded:
                high = middle
            else:
                low = middle
        return low

    scopes = taken(lambda name: store.scope(name).memory.add("k", name), 1100)
    for name in (letter * scopes, letter * (scopes - 1)):
        store.scope(name).memory.save([])
        store.scope(name).memory.add("k", mark(name))
        assert [entry.content for entry in store.scope(name).memory.get()] == [mark(name)]
    conversations = taken(lambda name: store.scope("s").chats.append(name, said(name)), 1100)
    for name in (letter * conversations, letter * (conversations - 1)):
        store.scope("s").chats.delete(name)
        store.scope("s").chats.append(name, said(name))
    for name in (letter * conversations, letter * (conversations - 1)):
        assert [message.content for message in store.scope("s").chats.messages(name)] == [mark(name)]
    with pytest.raises(LimitExceeded):
        store.scope(letter * (scopes + 1)).memory.add("k", "x")
    with pytest.raises(LimitExceeded):
        store.scope("s").chats.append(letter * (conversations + 1), said("x"))


def test_on_disk_too(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", durability="relaxed") as store:
        for name in IDS:
            store.scope(name).memory.add("k", mark(name))
    with treering.open(tmp_path / "s") as store:
        for name in IDS:
            assert [entry.content for entry in store.scope(name).memory.get()] == [mark(name)]
        assert store.verify().ok
