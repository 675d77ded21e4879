"""Old data that somebody made to break the import: taken or refused with a place, never half, and never twice."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import treering
from treering.importing import ImportReport, import_json

sys.path.insert(0, str(Path(__file__).parent))

from fuzz import fuzz

OLD = Path(__file__).resolve().parents[1] / "importing" / "old"
TOKENS = [
    token.encode()
    for token in (
        "null", "true", "NaN", "-Infinity", "1e999", "1e40", "-1", "0.5", "99999999999999999999999", "{}", "[]", "[[[[",
        '"\\ud800"', '"\\u0000"', "[" * 150, '{"":', '{"a":1,"a":2}', "\n", "\r\n", "}\n{", "\ufeff", '"  "',
        '"bob/chat/c"', '"2024-05-01"', '"0001-01-01T00:00:00+14:00"', "253402300800000", '"__end__"', '"../../x"',
        '"id"', '"agentType"', '"actorIds"', '"definitions"', '"entries"', '"messages"', '"role"', '"content"',
        '"contentHash"', '"createdAt"', '"timestamp"', '"forkFrom"', '"threadId"', '"parameters"', '"options"',
        '"maxRounds"', '"returnCode"', '"meta"', '"refs"',
    )
] + [b"\xff", b"\xed\xa0\x80", b"\xff\xfe"]  # fmt: skip
#: What each file is called there, and what it may hold.
FILES = {
    "config.json": [OLD / "config.json"],
    "actors.json": [OLD / "actors.json"],
    "user-memory.json": [OLD / "user-memory.json"],
    "chats/index.json": [OLD / "chat-histories" / "index.json"],
    "chats/c.json": [OLD / "chat-histories" / "conv-1.json", OLD / "chat-histories" / "no-row.json"],
    "chats/c.jsonl": [OLD / "chat-histories" / "a%2Fb.jsonl"],
    "t.data.jsonl": [OLD / "threads" / "t-1.data.jsonl", OLD / "threads" / "a-fork.data.jsonl"],
}
MORE = {
    "actors.json": [{"t": ["a", "b"]}, {"groups": {"t": ["a"]}}],
    "user-memory.json": [[], {"0123456789ab": {"content": "x", "createdAt": 1}}],
}
if hasattr(treering.Scope, "connectors"):
    FILES |= {"connectors.json": [], "roles.json": []}
    MORE |= {
        "connectors.json": [
            {"connectors": [{"name": "s", "type": "http", "timeoutMs": 0, "http": {"baseUrl": "https://x.example"}}]},
            {"m": {"type": "mcp", "retry": 9, "mcp": {"command": "c", "environment": {"KEY": "env:K"}}}},
        ],
        "roles.json": [[{"id": "helper", "name": "", "connectors": ["s"]}], {"definitions": []}],
    }


def seeds(name: str) -> list[bytes]:
    found = [path.read_bytes() for path in FILES[name]] + [json.dumps(one).encode() for one in MORE.get(name, [])]
    return [*found, b"\xef\xbb\xbf" + found[0].replace(b"\n", b"\r\n")]


def counted(report: ImportReport) -> dict[str, Any]:
    return {file.path: (file.outcome, file.notes) for file in report.files}


def importing(folder: Path, name: str) -> Callable[[bytes], Any]:
    """Imports an input; None where nothing of it was taken."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)

    def read(data: bytes) -> tuple[treering.Store, ImportReport] | None:
        path.write_bytes(data)
        store = treering.memory()
        report = import_json(store.scope("s"), folder)
        if any(file.outcome == "new" for file in report.files):
            return store, report
        assert report.taken == 0
        assert report.refused or report.left_out or all(file.outcome == "there" for file in report.files), report
        store.close()
        return None

    return read


@pytest.mark.parametrize("name", FILES)
def test_fuzz_importing(tmp_path: Path, name: str) -> None:
    def check(data: bytes, done: tuple[treering.Store, ImportReport]) -> None:
        store, report = done
        with store:
            for file in report.files:
                for note in file.notes:
                    assert note.path.startswith("$")
                    assert note.reason
                    f"{file.path}{note.path}{note.reason}".encode()
                    assert len(note.reason) < 1_000
            assert (tmp_path / name).read_bytes() == data
            assert store.verify().ok
            head = store.head()
            again = import_json(store.scope("s"), tmp_path)
            assert (again.taken, store.head()) == (0, head)
            with treering.memory() as other:
                nothing = other.head()
                planned = import_json(other.scope("s"), tmp_path, dry_run=True)
                assert (counted(planned), other.head()) == (counted(report), nothing)

    fuzz(
        "test_fuzz_importing",
        importing(tmp_path, name),
        check,
        seeds=seeds(name),
        tokens=TOKENS,
        cases=150,
    )
