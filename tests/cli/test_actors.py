"""`treering scope` and `treering actor`, as a user sees them, and as JSON."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import testing
from treering.messages import Conversation, Message, UserConfig

from .conftest import Cli

NOON = 1_760_011_200_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a scope of every store's actors, made within a minute, and a scope with a thread alone."""
    path = tmp_path / ".treering"
    clock = testing.Clock(NOON)
    with testing.open(path, clock=clock) as opened:
        alice = opened.scope("alice")
        told = alice.on_behalf_of("bob", causation_id="ticket-812")
        told.user_config.save(UserConfig(default_model="large"), command_id="turn-1")
        clock.advance(1000)
        alice.user_config.update(max_tool_rounds=7)
        alice.memory.add("preference", "answers in \x1b[2JFrench", source="explicit")
        clock.advance(1000)
        alice.agents.add("coder", "c1")
        alice.agents.add("coder", "c2")
        alice.participants.add("room", "c1", "Coder")
        file = alice.blocks.put(b"a file")
        clock.advance(1000)
        messages = [
            Message(role="user", content="see this", attachments=[file]),
            Message(role="assistant", content="ok"),
        ]
        alice.chats.save("conv-1", Conversation(title="Bonjour"), messages)
        alice.chats.append("secret", [Message(role="user", content="a secret")])
        clock.advance(1000)
        alice.chats.delete("secret")
        alice.workflows.upload("w", "Work", "a: 1\nb: 2\n")
        alice.scripts.upload("s", "print()\n")
        opened.threads.start("fix")
    return path


def shown(text: str) -> str:
    """What chance put into the text made the same everywhere, and no blanks at line ends."""
    text = re.sub(r"bafyr4i[a-z2-7]{52}", "CID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ENTRY", text)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def said(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return shown(done.out)


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def refused(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.code, done.out) == (1, "")
    return done.err


@pytest.mark.usefixtures("store")
class TestScope:
    def test_list(self, cli: Cli) -> None:
        assert said(cli, "scope", "list") == (
            "SCOPE  THREADS  ACTORS  PROJECTIONS\n"
            "alice        0       8            0\n"
            "main         1       0            0\n"
        )  # fmt: skip
        assert parsed(cli, "scope", "list") == [
            {"name": "alice", "threads": 0, "actors": 8, "projections": 0},
            {"name": "main", "threads": 1, "actors": 0, "projections": 0},
        ]

    def test_projections(self, cli: Cli, store: Path) -> None:
        with testing.open(store, clock=testing.Clock(NOON)) as opened:
            alice, team = opened.scope("alice"), opened.scope("team")
            for name, kinds in (("agents", ["agent-registry"]), ("a\x1b[2J/b", ["chat", "user-config"])):
                team.projection(name, of=alice, kinds=kinds).catch_up(lambda view, event, commit: None)
        assert said(cli, "scope", "list").splitlines()[-1] == "team         0       0            2"
        assert said(cli, "scope", "show", "team") == (
            "PROJECTION  VERSION  EVENTS  SOURCES\n"
            "a␛[2J/b           1       4        3\n"
            "agents            1       2        1\n"
        )  # fmt: skip
        assert parsed(cli, "scope", "show", "team") == [
            {"kind": "projection", "parts": [name], "version": 1, "events": events, "sources": sources, "broken": None}
            for name, events, sources in (("a\x1b[2J/b", 4, 3), ("agents", 2, 1))
        ]
        with testing.open(store, clock=testing.Clock(NOON)) as opened:
            opened.scope("team").memory.add("k", "x")
        assert said(cli, "scope", "show", "team").splitlines()[2:4] == ["", "PROJECTION  VERSION  EVENTS  SOURCES"]
        assert [row["kind"] for row in parsed(cli, "scope", "show", "team")] == [
            "user-memory",
            "projection",
            "projection",
        ]

    def test_show(self, cli: Cli) -> None:
        assert said(cli, "scope", "show", "alice") == (
            "ACTOR             VERSION  EVENTS  CHANGED (UTC)\n"
            "agent-registry          2       2  2025-10-09 12:00:02\n"
            "chat conv-1             1       1  2025-10-09 12:00:03\n"
            "chat secret             2       0  2025-10-09 12:00:04 deleted\n"
            "chat-index              3       0  2025-10-09 12:00:04\n"
            "participants            1       1  2025-10-09 12:00:02\n"
            "script-storage          1       1  2025-10-09 12:00:04\n"
            "user-config             2       2  2025-10-09 12:00:01\n"
            "user-memory             1       1  2025-10-09 12:00:01\n"
            "workflow-storage        1       1  2025-10-09 12:00:04\n"
        )
        rows = {(row["kind"], *row["parts"]): row for row in parsed(cli, "scope", "show", "alice")}
        assert len(rows) == 9
        secret = rows["chat", "secret"]
        assert secret.pop("head").startswith("bafyr4i")
        assert secret == {
            "kind": "chat", "parts": ["secret"], "version": 2, "oldest": 2, "events": 0, "at_ms": NOON + 4000,
            "deleted_at_ms": NOON + 4000, "broken": None,
        }  # fmt: skip

    def test_history(self, cli: Cli) -> None:
        lines = said(cli, "scope", "history", "alice").splitlines()
        assert [" ".join(line.split("  ")[:3]) for line in lines] == [
            "2025-10-09 12:00:00 user-config v1 UserConfigSaved",
            "2025-10-09 12:00:01 user-config v2 UserConfigUpdated",
            "2025-10-09 12:00:01 user-memory v1 MemoryEntryAdded",
            "2025-10-09 12:00:02 agent-registry v1 AgentAdded",
            "2025-10-09 12:00:02 agent-registry v2 AgentAdded",
            "2025-10-09 12:00:02 participants v1 ParticipantAdded",
            "2025-10-09 12:00:03 chat conv-1 v1 ChatReplaced",
            "2025-10-09 12:00:04 chat secret v2 deleted",
            "2025-10-09 12:00:04 workflow-storage v1 WorkflowUploaded",
            "2025-10-09 12:00:04 script-storage v1 ScriptUploaded",
        ]
        assert lines[0].startswith("2025-10-09 12:00:00  user-config v1  UserConfigSaved  by bob  #turn-1  {")
        three = parsed(cli, "scope", "history", "alice", "--last", "3")
        assert [(one["kind"], one["deleted"]) for one in three] == [
            ("chat", True),
            ("workflow-storage", False),
            ("script-storage", False),
        ]
        assert three[2]["event"]["message"]["id"] == "s"
        assert three[0] == {
            "kind": "chat", "parts": ["secret"], "version": 2, "at_ms": NOON + 4000, "change": "deleted",
            "position": three[1]["position"] - 1, "deleted": True, "target": None, "event": None,
        }  # fmt: skip

    def test_what_is_not_there(self, cli: Cli) -> None:
        for verb in ("show", "history"):
            message = refused(cli, "scope", verb, "carol")
            assert message == "error: no scope carol\nhint: treering scope list shows the scopes there are\n"
        assert cli("scope", "show", "main").err == "no actors in main yet\n"
        assert parsed(cli, "scope", "show", "main") == []
        (thread,) = parsed(cli, "scope", "history", "main")
        assert (thread["kind"], thread["change"], thread["event"]) == ("thread", "created", None)
        line = said(cli, "scope", "history", "main").split()
        assert line[2:6] == ["thread", *thread["parts"], "v1", "created"]


def test_a_broken_actor_hides_no_other(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        head = opened.scope("alice").actor("user-memory").info().head
    assert head is not None
    database = sqlite3.connect(store / "store.db")
    with database:
        assert database.execute(
            "UPDATE block SET payload = zeroblob(length(payload)) WHERE digest = ?", [head.digest]
        ).rowcount
    database.close()
    rows = {row["kind"]: row for row in parsed(cli, "scope", "show", "alice")}
    assert str(head) in rows["user-memory"]["broken"]
    assert (rows["user-memory"]["version"], rows["user-config"]["broken"]) == (0, None)
    assert "user-memory" in said(cli, "scope", "show", "alice")
    assert "alice/user-memory/" in refused(cli, "scope", "history", "alice")
    assert "alice/user-memory/" in refused(cli, "--scope", "alice", "actor", "verify", "user-memory")
    assert said(cli, "--scope", "alice", "actor", "verify", "user-config").startswith("ok: ")


@pytest.mark.usefixtures("store")
class TestActor:
    @pytest.mark.parametrize(
        ("actor", "state"),
        [
            ("agent-registry", ["coder  c1, c2"]),
            ("participants", ["room", "  c1  Coder  since 2025-10-09 12:00:02"]),
            ("user-memory", ["ENTRY  preference  answers in ␛[2JFrench  explicit"]),
            ("chat conv-1", ["user      see this  1 file", "assistant ok"]),
            ("chat-index", ["conv-1  Bonjour  2 messages  2025-10-09 12:00:03"]),
            ("chat secret", ["empty"]),
            ("workflow-storage", ["w  Work  2 lines  2025-10-09 12:00:04"]),
            ("script-storage", ["s  1 line  2025-10-09 12:00:04"]),
        ],
    )
    def test_state(self, cli: Cli, actor: str, state: list[str]) -> None:
        lines = said(cli, "--scope", "alice", "actor", "show", *actor.split()).splitlines()
        assert lines[0] == f"actor    {actor}"
        assert lines[lines.index("") + 1 :] == state

    def test_show_and_earlier(self, cli: Cli) -> None:
        assert said(cli, "--scope", "alice", "actor", "show", "user-config") == (
            "actor    user-config\n"
            "version  2\n"
            "events   2\n"
            "changed  2025-10-09 12:00:01 UTC\n"
            "head     CID\n"
            "\n"
            "default_model           large\n"
            "preferred_llm_route\n"
            "runtime_mode            local\n"
            "local_runtime_base_url  http://127.0.0.1:5080\n"
            "remote_runtime_base_url\n"
            "max_tool_rounds         7\n"
            "github_username\n"
        )
        earlier = said(cli, "--scope", "alice", "actor", "show", "user-config", "--at", "1")
        assert "version  1 of 2\n" in earlier
        assert "max_tool_rounds         0\n" in earlier
        now, then = (parsed(cli, "--scope", "alice", "actor", "show", "user-config", *at) for at in ((), ("--at", "1")))
        assert (now["shown"], now["state"]["max_tool_rounds"]) == (2, 7)
        assert (then["shown"], then["version"], then["state"]["max_tool_rounds"]) == (1, 2, 0)

    def test_states_as_json(self, cli: Cli) -> None:
        chat = parsed(cli, "--scope", "alice", "actor", "show", "chat", "conv-1")["state"]
        assert (chat["conversation"]["title"], [one["content"] for one in chat["messages"]]) == (
            "Bonjour",
            ["see this", "ok"],
        )
        assert chat["messages"][0]["attachments"] == [{"/": str(treering.Cid.of(b"a file"))}]
        rooms = parsed(cli, "--scope", "alice", "actor", "show", "participants")["state"]
        assert [one["agent_id"] for one in rooms["room"]] == ["c1"]
        assert parsed(cli, "--scope", "alice", "actor", "show", "chat", "secret")["state"]["conversation"] is None

    def test_events(self, cli: Cli) -> None:
        assert said(cli, "--scope", "alice", "actor", "events", "agent-registry") == (
            '2025-10-09 12:00:02  v1  AgentAdded  {"agent_type": "coder", "actor_id": "c1"}\n'
            '2025-10-09 12:00:02  v2  AgentAdded  {"agent_type": "coder", "actor_id": "c2"}\n'
        )
        events = parsed(cli, "--scope", "alice", "actor", "events", "user-config")
        assert [event["version"] for event in events] == [1, 2]
        first = events[0]
        assert (first["type"], first["principal"], first["causation_id"], first["command_id"]) == (
            "treering.v1.UserConfigSaved", "bob", "ticket-812", "turn-1",
        )  # fmt: skip
        assert first["message"]["config"]["default_model"] == "large"
        for options in (["--first", "2"], ["--last", "1"]):
            assert parsed(cli, "--scope", "alice", "actor", "events", "user-config", *options) == events[1:]
        assert parsed(cli, "--scope", "alice", "actor", "events", "chat-index") == []

    def test_verify(self, cli: Cli) -> None:
        assert said(cli, "--scope", "alice", "actor", "verify", "chat", "conv-1") == (
            "ok: chat/conv-1 at version 1, 1 event checked\n"
        )
        assert parsed(cli, "--scope", "alice", "actor", "verify", "user-config") == {
            "kind": "user-config", "parts": [], "version": 2, "events": 2, "ok": True,
        }  # fmt: skip

    @pytest.mark.parametrize("verb", ["show", "events", "verify", "trim"])
    def test_what_is_not_there(self, cli: Cli, verb: str) -> None:
        hint = "hint: treering scope show {} lists the actors there are\n"
        more = ("--keep", "1", "--yes") if verb == "trim" else ()
        message = refused(cli, "actor", verb, "user-config", *more)
        assert message == "error: scope main has no actor user-config\n" + hint.format("main")
        message = refused(cli, "--scope", "alice", "actor", verb, "chat", *more)
        assert message == "error: scope alice has no actor chat\n" + hint.format("alice")
        message = refused(cli, "--scope", "alice", "actor", verb, "thread", *more)
        assert message == "error: no kind of actor is called thread\n" + hint.format("alice")
        assert cli("--scope", "alice", "actor", verb).code == 2

    def test_a_version_that_is_not_there(self, cli: Cli) -> None:
        assert "version" in refused(cli, "--scope", "alice", "actor", "show", "user-config", "--at", "9")
        assert "version" in refused(cli, "--scope", "alice", "actor", "show", "chat-index", "--at", "1")

    def test_trim(self, cli: Cli, store: Path) -> None:
        trim = ("--scope", "alice", "actor", "trim")
        with treering.open(store) as opened:
            for number in range(10):
                opened.scope("alice").memory.add("k", f"{number}")
        # Nobody is asked here, so nothing happens without a word.
        message = refused(cli, *trim, "user-memory", "--keep", "4")
        assert message == "error: nothing was cut off; nobody is there to ask\nhint: pass --yes\n"
        assert said(cli, *trim, "user-memory", "--keep", "4", "--yes") == (
            "user-memory: 7 versions cut off, its history begins after version 7\n"
        )
        assert said(cli, *trim, "user-memory", "--keep", "4", "-y") == "user-memory: nothing to cut off\n"
        assert parsed(cli, *trim, "user-memory", "--before", "9", "--yes") == {
            "kind": "user-memory", "parts": [], "version": 11, "dropped": 1, "oldest": 8,
        }  # fmt: skip
        assert parsed(cli, *trim, "user-memory", "--before", "9", "--yes")["dropped"] == 0
        assert parsed(cli, *trim, "chat", "conv-1", "--before", "2025-01-01", "--yes")["dropped"] == 0
        # An age: all of it was longer ago.
        dropped = parsed(cli, *trim, "user-config", "--before", "1h", "--yes")
        assert (dropped["dropped"], dropped["oldest"]) == (2, 2)
        assert "keeps its history from version 8 on" in refused(
            cli, "--scope", "alice", "actor", "show", "user-memory", "--at", "3"
        )
        assert said(cli, "--scope", "alice", "actor", "verify", "user-memory") == (
            "ok: user-memory at version 11, 3 events checked\n"
        )
        for wrong in (
            (), ("--keep", "1", "--before", "1"), ("--keep", "-1"), ("--before", "soon"), ("--before", "-1"),
        ):  # fmt: skip
            assert cli(*trim, "user-memory", *wrong, "--yes").code == 2
        assert "has no version 98" in refused(cli, *trim, "user-memory", "--before", "99", "--yes")

    @pytest.mark.parametrize("yes", [False, True])
    def test_trim_asks_on_a_terminal(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
        questions: list[str] = []

        def confirm(question: str, **_: object) -> bool:
            questions.append(question)
            return yes

        monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
        monkeypatch.setattr("typer.confirm", confirm)
        done = cli("--scope", "alice", "actor", "trim", "user-config", "--keep", "1")
        assert questions == ["Forget of user-config all but its newest 1 event, for good?"]
        assert (done.code, "1 version cut off" in done.out) == ((0, True) if yes else (1, False))
        assert len(parsed(cli, "--scope", "alice", "actor", "events", "user-config")) == (1 if yes else 2)
