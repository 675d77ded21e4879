"""Conversations in and out: each record one thread in one commit, the export equal value for value."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treering
from treering import Invalid, aio, chat
from treering.chat.conversation import conversation_of, to_record
from treering.chat.reading import Refused

DEMO = Path(treering.__file__).parent / "data" / "demo" / "conversations.json"


def imported(store: treering.Store, folder: Path, *records: Any, lines: bool = False) -> chat.ImportReport:
    path = folder / ("log.jsonl" if lines else "log.json")
    texts = [json.dumps(record) for record in records]
    path.write_text("\n".join(texts) if lines else f"[{', '.join(texts)}]")
    return chat.import_file(store.threads, path)


def say(role: str, **rest: Any) -> dict[str, Any]:
    return {"role": role, **rest}


@pytest.fixture
def store() -> treering.Store:
    return treering.memory()


def test_the_shipped_conversations_come_out_as_they_went_in(store: treering.Store) -> None:
    given_records = json.loads(DEMO.read_bytes())
    report = chat.import_file(store.threads, DEMO)
    assert report.records == report.threads_new == len(given_records) == 12
    assert report.refused == ()
    assert report.steps == sum(len(record["messages"]) - 1 for record in given_records)
    assert chat.export(store.threads) == given_records


def test_again_writes_nothing_and_says_so(store: treering.Store) -> None:
    first = chat.import_file(store.threads, DEMO)
    assert first.blocks_written > 0
    head = store.head()
    again = chat.import_file(store.threads, DEMO)
    assert (again.threads_new, again.threads_there, again.steps, again.blocks_written) == (0, 12, 0, 0)
    assert store.head() == head


def test_it_counts_its_own_blocks(store: treering.Store) -> None:
    others = store.threads.start("other")

    def write(_: chat.Progress) -> None:
        others.append("beside", "the import")

    first = chat.import_file(store.threads, DEMO, progress=write)
    assert 0 < first.blocks_written < store.counters()["blocks_written"]
    assert chat.import_file(store.threads, DEMO, progress=write).blocks_written == 0


def test_an_export_counts_what_it_leaves_out(store: treering.Store) -> None:
    thread = store.threads.start("hand-made")
    thread.append("coder", "here", artifacts={"a.txt": "1", "b.txt": "2"}, links=[thread.start.cid])
    thread.finish(summary="done")
    left_out: Counter[str] = Counter({"artifact": 1})
    chat.export_thread(thread, left_out=left_out)
    assert left_out == {"artifact": 3, "link": 1, "end": 1}
    plain: Counter[str] = Counter()
    chat.export_thread(store.threads.start("plain", steps=[("user", "hi")]), left_out=plain)
    assert not plain


def test_prompt_steps_parameters_labels_and_key(store: treering.Store, tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    record = {
        "task_id": 7,
        "reward": 0.0,
        "ok": False,
        "note": None,
        "long": "x" * 300,
        "info": {"cost": 0.25, "nested": [1, {"a": None}]},
        "traj": [
            say("system", content="Be kind.", name="policy"),
            say("user", content="hello"),
            say("assistant", content=None, tool_calls=[call]),
            say("tool", content="seen", tool_call_id="c1", name="look"),
            say("assistant", content=[{"type": "text", "text": "done"}]),
            say("assistant", tool_calls=[]),
            say("system", content="a later system message is a step"),
        ],
    }
    report = imported(store, tmp_path, record, record)
    assert report.threads_new == 2
    one, two = store.threads.list()
    assert one.prompt == "Be kind."
    assert one.parameters["chat"] == {"list": "traj", "system": {"name": "policy"}}
    assert one.parameters["record"] == {key: value for key, value in record.items() if key != "traj"}
    assert dict(one.labels) == {"task_id": 7, "reward": 0.0, "ok": False, "note": None}
    assert [step.role for step in one] == ["user", "assistant", "tool", "assistant", "assistant", "system"]
    assert one.at(2).content is None
    assert one.at(2).meta == {"tool_calls": [call]}
    assert one.at(3).meta == {"tool_call_id": "c1", "name": "look"}
    assert one.at(5).meta == {"tool_calls": [], "content": "absent"}
    assert all(step.at_ms is None for step in one)
    digest = str(treering.Cid.of_node(record)).removeprefix("bafyr4i")
    assert (one.key, two.key) == (f"chat-{digest}-1", f"chat-{digest}-2")
    assert [step.cid for step in one] == [step.cid for step in two]
    assert chat.export(store.threads) == [record, record]


def test_no_block_holds_the_raw_record(store: treering.Store, tmp_path: Path) -> None:
    record = {"messages": [say("system", content="p"), say("user", content="u")], "reward": 1}
    imported(store, tmp_path, record)
    assert not store.blocks.has(treering.Cid.of_node(record))
    assert not store.blocks.has(treering.Cid.of(json.dumps(record).encode()))


@pytest.mark.parametrize(
    "record",
    [
        {"messages": []},
        {"messages": [], "traj": [1, 2]},
        {"messages": [say("system", content=None)]},
        {"messages": [say("system")]},
        {"messages": [say("system", content="")]},
        {"messages": [say("system", content=[{"type": "text", "text": "p"}], cache=True)]},
        {"messages": [say("user", content="no system message")]},
        {"messages": [say("user", content="x" * 10_000), say("tool", content={"a": [1.5, -0.0, 2**64 - 1]})]},
        {"messages": [say("user", content=7), say("user", content=True), say("user", content="")]},
        {"messages": [say("user", content={"/": "bafkqaaa"})], "chat": {"list": "traj"}, "record": 1},
        {"traj": [say("user", content='{"kind": "state", "role": "__end__"}')], "labels": {"a": 1}, "": "blank"},
        {"messages": [say("user", content="a", role_="x", at_ms=1, start="s")], "é": "ü 🚲", "k" * 100: 1},
    ],
)
def test_odd_records_come_out_as_they_went_in(store: treering.Store, tmp_path: Path, record: dict[str, Any]) -> None:
    report = imported(store, tmp_path, record, lines=True)
    assert report.refused == ()
    (out,) = chat.export(store.threads)
    assert out == record
    assert json.dumps(out, sort_keys=True) == json.dumps(record, sort_keys=True)


_scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.floats(allow_nan=False)
_finite = _scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
_values = st.recursive(_finite, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4)
_messages = st.builds(
    lambda role, rest, content: {**rest, **content, "role": role},
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.dictionaries(st.text(), _values, max_size=3),
    st.just({}) | st.builds(lambda value: {"content": value}, _values),
)


@given(st.dictionaries(st.text(), _values, max_size=4), st.sampled_from(["messages", "traj"]), st.lists(_messages))
def test_the_mapping_loses_nothing(rest: dict[str, Any], name: str, messages: list[Any]) -> None:
    record = {**rest, name: messages}
    if name == "traj":
        record.pop("messages", None)
    taken = conversation_of(record)
    assert to_record(taken.prompt, taken.parameters, taken.messages) == record


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.builds(
            lambda rest, name, messages: {**rest, name: messages},
            st.dictionaries(st.text().filter(lambda key: key not in ("messages", "traj")), _values, max_size=4),
            st.sampled_from(["messages", "traj"]),
            st.lists(_messages, max_size=4),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_in_and_out_and_in_again_loses_nothing(records: list[Any], lines: bool) -> None:
    def text(values: list[Any]) -> str:
        texts = [chat.chat_json(value) for value in values]
        return "\n".join(texts) if lines else f"[{','.join(texts)}]"

    def through(values: list[Any]) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder, treering.memory() as store:
            path = Path(folder) / "log"
            path.write_text(text(values), encoding="utf-8", newline="\n")
            report = chat.import_file(store.threads, path)
            assert (report.threads_new, report.refused) == (len(values), ())
            assert chat.import_file(store.threads, path).blocks_written == 0
            return chat.export(store.threads)

    def exact(values: list[Any]) -> str:
        # Tells 1 from 1.0 and from true, and 0.0 from -0.0, as == does not.
        return json.dumps(values, sort_keys=True)

    once = through(records)
    assert exact(once) == exact(records)
    assert exact(through(once)) == exact(records)


@pytest.mark.parametrize(
    ("record", "path", "reason"),
    [
        ([], "$", "an object, not an array"),
        ({"a": 1}, "$", "neither"),
        ({"messages": {}}, "$.messages", "an array of messages, not an object"),
        ({"traj": None}, "$.traj", "not null"),
        ({"messages": [say("user", content=""), "text"]}, "$.messages[1]", "an object, not a string"),
        ({"messages": [{"content": "a"}]}, "$.messages[0]", "without a role"),
        ({"messages": [say(7, content="a")]}, "$.messages[0].role", "a string, not a number"),  # type: ignore[arg-type]
        ({"messages": [say(" ", content="a")]}, "$.messages[0].role", "blank"),
        ({"messages": [say("__start__", content="a")]}, "$.messages[0].role", "reserved"),
        ({"messages": [say("user"), say("__end__", content="a")]}, "$.messages[1].role", "reserved"),
        ({"messages": [say("__fork__", content="a")]}, "$.messages[0].role", "reserved"),
        ({"messages": [say("r" * 257)]}, "$.messages[0].role", "256 bytes"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_path(
    store: treering.Store, tmp_path: Path, record: Any, path: str, reason: str
) -> None:
    with pytest.raises(Refused):
        conversation_of(record)
    good = {"messages": [say("user", content="fine")]}
    report = imported(store, tmp_path, good, record, good)
    assert (report.records, report.threads_new) == (3, 2)
    (refusal,) = report.refused
    assert (refusal.record, refusal.path) == (2, path)
    assert reason in refusal.reason
    assert chat.export(store.threads) == [good, good]


def test_depth_is_counted_where_a_value_will_stand(store: treering.Store, tmp_path: Path) -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    fits = {"messages": [], "info": nested(125)}
    deep = {"messages": [], "info": nested(126)}
    report = imported(store, tmp_path, fits, deep)
    assert report.threads_new == 1
    (refusal,) = report.refused
    assert refusal.record == 2
    assert refusal.path.startswith("$.info[0]")
    assert chat.export(store.threads) == [fits]


def test_depth_of_a_system_message_is_counted_where_it_will_stand(store: treering.Store, tmp_path: Path) -> None:
    def record(levels: int) -> Any:
        return {"messages": [say("system", content="p", extra=json.loads("[" * levels + "]" * levels))]}

    report = imported(store, tmp_path, record(124), record(125))
    (refusal,) = report.refused
    assert (report.threads_new, refusal.record) == (1, 2)
    assert refusal.path.startswith("$.messages[0].extra[0]")
    assert chat.export(store.threads) == [record(124)]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"messages": [say("user"), say("user", content="a", tool_calls=["x" * 1_100_000])]}, "$.messages[1]"),
        ({"traj": [say("system", content="a", note="x" * 1_100_000)]}, "$.traj[0]"),
        ({"messages": [say("user", content=["x"] * 600_000), say("user")]}, "$.messages[0].content"),
        ({"messages": [say("user", content="x" * 3_000_000)], "info": ["x" * 1_100_000]}, "$"),
    ],
)
def test_what_is_too_large_for_a_node_is_refused_with_its_path(
    store: treering.Store, tmp_path: Path, record: Any, path: str
) -> None:
    report = imported(store, tmp_path, record)
    (refusal,) = report.refused
    assert (refusal.record, refusal.path) == (1, path)
    assert "limit" in refusal.reason
    assert store.threads.list() == []


def test_a_record_over_a_node_s_size_is_refused_alone(store: treering.Store, tmp_path: Path) -> None:
    good = {"messages": [say("user", content="x" * 3_000_000)]}
    huge = {"messages": [], "info": "x" * 2_000_000}
    report = imported(store, tmp_path, huge, good)
    assert report.threads_new == 1
    (refusal,) = report.refused
    assert (refusal.record, refusal.path) == (1, "$")
    assert chat.export(store.threads) == [good]


def test_a_broken_array_imports_nothing(store: treering.Store, tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('[{"messages": [{"role": "user", "content": "a"}]}, {"mess')
    head = store.head()
    with pytest.raises(treering.Invalid, match="nothing was imported"):
        chat.import_file(store.threads, path)
    assert store.threads.list() == []
    assert store.head() == head


def test_a_changed_fork_changes_its_own_export_only(store: treering.Store, tmp_path: Path) -> None:
    record = {"messages": [say("system", content="p"), say("user", content="a"), say("assistant", content="b")]}
    imported(store, tmp_path, record)
    (thread,) = store.threads.list()
    fork = thread.fork(at=1)
    fork.append("assistant", "c", meta={"tool_calls": []}, artifacts={"notes": b"left out"})
    fork.finish(0, "left out")
    changed = {"messages": [*record["messages"][:2], say("assistant", content="c", tool_calls=[])]}
    assert chat.export(store.threads) == [record, changed]


def test_a_thread_that_was_never_imported_exports_too(store: treering.Store) -> None:
    thread = store.threads.start("review", prompt="Is it right?", parameters={"ticket": 812})
    thread.append("coder", "yes", meta={"sure": 0.7})
    assert chat.export([thread]) == [
        {
            "ticket": 812,
            "messages": [say("system", content="Is it right?"), say("coder", content="yes", sure=0.7)],
        }
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"chat": {"list": "messages"}, "record": "mine"},
        {"chat": {"list": "messages"}, "record": [1]},
        {"chat": {"list": "messages"}},
        {"chat": {"list": ["messages"]}, "record": {}},
        {"chat": {"list": "messages", "system": 7}, "record": {}},
        {"chat": {"list": "messages", "temperature": 0.7}, "record": {}},
        {"chat": {"list": "messages"}, "record": {}, "more": 1},
    ],
)
def test_parameters_that_only_look_like_an_import_s_are_parameters(
    store: treering.Store, parameters: dict[str, Any]
) -> None:
    thread = store.threads.start("w", parameters=parameters)
    assert chat.export([thread]) == [{**parameters, "messages": []}]


def test_order_of_threads_is_order_of_records(store: treering.Store, tmp_path: Path) -> None:
    records = [{"n": number, "messages": [say("user", content=str(number))]} for number in range(300)]
    imported(store, tmp_path, *records, lines=True)
    assert chat.export(store.threads) == records


def test_progress_is_told_after_every_record(store: treering.Store) -> None:
    seen: list[chat.Progress] = []
    chat.import_file(store.threads, DEMO, progress=seen.append)
    assert [progress.done for progress in seen] == list(range(1, 13))
    assert {progress.total for progress in seen} == {12}


def test_records_share_fsyncs(tmp_path: Path) -> None:
    records = [{"n": number, "messages": [say("user", content="hello")]} for number in range(200)]
    with treering.open(tmp_path / "state") as store:
        imported(store, tmp_path, *records)
        counters = store.counters()
        assert counters["requests"] >= 200
        assert counters["commit_syncs"] < 200


def test_the_real_conversations(tmp_path: Path) -> None:
    import os

    folder = os.environ.get("TREERING_DATA")
    path = Path(folder) / "tau-bench-airline-gpt-4o.json" if folder else None
    if path is None or not path.exists():
        pytest.skip("TREERING_DATA names no directory with tau-bench-airline-gpt-4o.json")
    with treering.open(tmp_path / "state") as store:
        report = chat.import_file(store.threads, path)
        assert (report.records, report.threads_new, report.refused) == (200, 200, ())
        assert report.steps == 5_308 - 200
        assert chat.export(store.threads) == json.loads(path.read_bytes())
        again = chat.import_file(store.threads, path)
        assert (again.threads_new, again.blocks_written) == (0, 0)
        assert store.verify().ok


def test_threads_of_an_async_store_are_refused(tmp_path: Path) -> None:
    """Their verbs would only be promised, and everything would seem to be there."""
    log = tmp_path / "log.json"
    log.write_text('[{"messages": [{"role": "user", "content": "hello"}]}]')

    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            with pytest.raises(Invalid, match="sync store"):
                chat.import_file(store.threads, log)  # type: ignore[arg-type]
            with pytest.raises(Invalid, match="sync store"):
                chat.export(store.threads)  # type: ignore[arg-type]

    asyncio.run(main())


def test_a_conversation_that_is_too_long_for_one_commit(store: treering.Store, tmp_path: Path) -> None:
    """It is refused whole, by its list of messages: half a thread would pass for an imported one."""
    said = [{"role": "user", "content": str(number)} for number in range(10_001)]
    report = imported(store, tmp_path, {"messages": said}, {"messages": said[:10_000]})
    assert [(refused.record, refused.path) for refused in report.refused] == [(1, "$.messages")]
    assert "10000" in report.refused[0].reason
    assert (report.threads_new, report.steps) == (1, 10_000)
