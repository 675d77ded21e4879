"""The conversations that ship with the package are what the demo and the docs say of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "python" / "treering" / "data" / "demo" / "conversations.json"
RECORDS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))


def name(record: dict[str, Any]) -> str:
    return f"{record['task_id']}-{record['trial']}"


def test_a_dozen_in_tasks_and_trials() -> None:
    trials = Counter(r["task_id"] for r in RECORDS)
    assert sorted(trials.values()) == [2, 2, 2, 3, 3]
    assert len({name(r) for r in RECORDS}) == len(RECORDS) == 12
    for task in trials:
        prompts = {r["messages"][0]["content"] for r in RECORDS if r["task_id"] == task}
        assert len(prompts) == 1


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_every_tool_call_is_answered_in_order(record: dict[str, Any]) -> None:
    system, *messages = record["messages"]
    assert system["role"] == "system"
    assert len(system["content"]) > 2_900
    assert 8 <= len(messages) <= 20
    waiting: list[tuple[str, str]] = []
    for message in messages:
        if message["role"] == "tool":
            assert (message["tool_call_id"], message["name"]) == waiting.pop(0)
            continue
        assert not waiting
        for call in message.get("tool_calls", []):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting.append((call["id"], call["function"]["name"]))
        assert message["content"] or waiting
    assert not waiting


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_a_failed_one_says_where_it_went_wrong(record: dict[str, Any]) -> None:
    review = record["info"].get("review")
    assert (record["reward"] == 0.0) == (review is not None)
    if review is None:
        return
    wrong = record["messages"][review["wrong_message"]]
    (made,), (better,) = wrong["tool_calls"], review["instead"]["tool_calls"]
    assert made["function"] != better["function"]
    assert made["id"] != better["id"]
    assert review["why"].endswith(".")
