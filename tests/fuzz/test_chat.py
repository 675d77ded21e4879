"""Chat logs that somebody made to break the import: refused with a place, or kept value for value."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import chat
from treering.chat.conversation import Conversation, conversation_of, largest_part, to_record
from treering.chat.reading import Record, Refusal, Refused, open_log

sys.path.insert(0, str(Path(__file__).parent))

from fuzz import allowed_bytes, fuzz

DEMO = Path(treering.__file__).parent / "data" / "demo" / "conversations.json"
RECORDS: list[Any] = [
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "é\u0000😀"}], "ok": True},
    {"traj": [{"role": "a", "content": None, "tool_calls": [{"id": 1}]}, {"role": "b"}], "n": -(2**63), "f": 1.5e300},
    {"messages": [], "messages2": [[[]]], "deep": {"a": {"b": {"": 0}}}, "reward": 0.0},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}], "content2": 2**64 - 1}]},
]
TOKENS = [
    token.encode()
    for token in (
        '"messages"', '"traj"', '"role"', '"content"', '"system"', "null", "NaN", "Infinity", "1e999", "-0", "1e-400",
        "18446744073709551616", '"\\ud800"', '"\\u0000"', "{}", "[]", "[[[[", '{"":', "}\n{", "\n", "\ufeff",
        '"__end__"', "[" * 150, '{"a":1,"a":2}',
    )
] + [b"\xff", b"\xed\xa0\x80"]  # fmt: skip


def seeds(dense_bytes: int = 3_000) -> list[bytes]:
    lines = "\n".join(json.dumps(record) for record in RECORDS)
    dense = ["[]", "{}", '{"":0}', '""', "0", "[0]", '"é"', "1.5"]
    return [
        json.dumps(RECORDS).encode(),
        json.dumps(RECORDS, ensure_ascii=False, indent=1).encode(),
        lines.encode(),
        b"\xef\xbb\xbf\n" + lines.encode() + b"\n\n",
        b"[]",
        DEMO.read_bytes()[:3_000],
        *(f'[{{"messages":[],"x":[{",".join([item] * (dense_bytes // len(item)))}]}}]'.encode() for item in dense),
    ]


def read_into(path: Path) -> Any:
    """The reader as the import uses it: each record, taken apart; None for what is no log at all."""

    def read(data: bytes) -> list[tuple[Any, Conversation]] | None:
        path.write_bytes(data)
        found: list[Any] | None = []
        refusals: list[str] = []
        try:
            with open_log(path) as log:
                for number, item in enumerate(log.records, 1):
                    assert (item.number if isinstance(item, Record) else item.record) == number
                    if isinstance(item, Refusal):
                        assert item.path.startswith("$")
                        assert item.reason
                    else:
                        try:
                            found.append((item.value, conversation_of(item.value)))
                        except Refused as error:
                            refusals.append(error.path)
        except treering.Invalid as error:
            refusals.append("$" if str(path) in str(error) else str(error))
            found = None
        assert all(place.startswith("$") for place in refusals), refusals
        return found

    return read


def same(a: Any, b: Any) -> bool:
    """Equal, -0.0 and 0.0 told apart, and 1 and True."""
    return repr(a) == repr(b) or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def test_fuzz_chat_logs(tmp_path: Path) -> None:
    def check(_: bytes, found: list[tuple[Any, Conversation]]) -> None:
        for record, taken in found:
            assert same(to_record(taken.prompt, taken.parameters, taken.messages), record)
            assert largest_part(record).startswith("$")

    fuzz("test_fuzz_chat_logs", read_into(tmp_path / "log"), check, seeds=seeds(), tokens=TOKENS, cases=600)


def test_fuzz_chat_import(tmp_path: Path) -> None:
    """The whole way: into a store, whole or not at all, and out again."""
    path = tmp_path / "log"

    def read(data: bytes) -> tuple[treering.Store, chat.ImportReport] | None:
        path.write_bytes(data)
        store = treering.memory()
        try:
            return store, chat.import_file(store.threads, path)
        except treering.Invalid:
            assert store.threads.list() == []
            return None

    def check(data: bytes, done: tuple[treering.Store, chat.ImportReport]) -> None:
        store, report = done
        with store:
            assert report.records == report.threads_new + report.threads_there + len(report.refused)
            path.write_bytes(data)
            refused = {refusal.record for refusal in report.refused}
            with open_log(path) as log:
                kept = [item.value for item in log.records if isinstance(item, Record) and item.number not in refused]
            assert same(chat.export(store.threads), kept)
            assert store.verify().ok

    fuzz("test_fuzz_chat_import", read, check, seeds=seeds(500), tokens=TOKENS, cases=150)


@pytest.mark.parametrize("seed", seeds(40_000)[6:], ids=lambda seed: ascii(seed[20:28]))
def test_dense_logs_take_memory_for_their_length_alone(tmp_path: Path, seed: bytes) -> None:
    import tracemalloc

    read = read_into(tmp_path / "log")
    tracemalloc.start()
    found = read(seed)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found
    assert most <= allowed_bytes(len(seed)), most
