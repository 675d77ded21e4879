"""`treering scope fork`, `diff`, `verify`, `unfinished` and `discard`, as a user sees them, and as JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import treering
from treering.messages import Message

from .conftest import Cli


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / ".treering"
    with treering.open(path) as opened:
        alice = opened.scope("alice")
        alice.memory.add("preference", "answers in French")
        alice.threads.start("fix", key="ticket-812").append("coder", "yes")
        alice.workflows.upload("w", "", "a: 1")
        alice.pins.add("kept", opened.put(b"x"))
        alice.chats.append("a\x1b[2Jb", [Message(role="user", content="hello")])
    return path


def said(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ULID", done.out)


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


@pytest.mark.usefixtures("store")
class TestScopes:
    def test_fork(self, cli: Cli) -> None:
        assert said(cli, "scope", "fork", "alice", "bob") == "forked alice as bob: 7 refs\n"
        assert parsed(cli, "scope", "fork", "alice", "carol", "--command-id", "1") == {
            "scope": "carol",
            "of": "alice",
            "refs": 7,
        }
        assert said(cli, "scope", "fork", "alice", "carol", "--command-id", "1") == "forked alice as carol: 7 refs\n"
        assert [row["name"] for row in parsed(cli, "scope", "list")] == ["alice", "bob", "carol"]

    def test_refusals(self, cli: Cli) -> None:
        cli("scope", "fork", "alice", "bob")
        done = cli("scope", "fork", "alice", "bob")
        assert (done.code, done.out) == (1, "")
        assert done.err == 'error: scope "bob" is taken: it has refs; nothing was written: choose another name\n'
        done = cli("scope", "fork", "nobody", "carol")
        assert (done.code, done.out) == (1, "")
        assert done.err == "error: no scope nobody\nhint: treering scope list shows the scopes there are\n"
        done = cli("scope", "discard", "bob")
        assert (done.code, done.out) == (1, "")
        assert done.err == 'error: fork to discard "bob" is not valid: no fork of that name is unfinished\n'

    def test_diff(self, cli: Cli, store: Path) -> None:
        cli("scope", "fork", "alice", "bob")
        assert said(cli, "scope", "diff", "alice", "bob") == "7 the same\n"
        with treering.open(store) as opened:
            bob = opened.scope("bob")
            bob.memory.clear()
            bob.pins.rm("kept")
            bob.chats.append("a\x1b[2Jb", [Message(role="user", content="again")])
            bob.threads.get("ticket-812").append("coder", "no")
        assert said(cli, "scope", "diff", "alice", "bob") == (
            "+ pin/kept\n"
            "~ chat/a␛[2Jb: 1 here, 2 there; common: 1\n"
            "~ chat-index: 1 here, 2 there; common: 1\n"
            "~ thread/ULID: 1 here, 2 there; common: 1\n"
            "~ user-memory: 1 here, 2 there; common: 1\n"
            "2 the same\n"
        )  # fmt: skip
        found = parsed(cli, "scope", "diff", "bob", "alice")
        assert found["right"] == [{"kind": "pin", "parts": ["kept"]}]
        assert found["changed"][0] == {"kind": "chat", "parts": ["a\x1b[2Jb"], "left": 2, "right": 1, "common": 1}
        assert (found["left"], found["same"]) == ([], 2)

    def test_verify(self, cli: Cli) -> None:
        line = "ok: 7 refs, … blocks, 1 threads, 1 steps, 4 actors, 4 events, 0 projections\n"
        assert re.sub(r"\d+ blocks", "… blocks", said(cli, "scope", "verify", "alice")) == line
        found = parsed(cli, "scope", "verify", "alice")
        assert (found["ok"], found["refs"], found["events"], found["findings"]) == (True, 7, 4, [])

    def test_unfinished(self, cli: Cli) -> None:
        done = cli("scope", "unfinished")
        assert (done.code, done.out, done.err) == (0, "", "no fork is unfinished\n")
        assert parsed(cli, "scope", "unfinished") == []
