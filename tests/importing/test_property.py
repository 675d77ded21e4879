"""Whatever an old system held: written by a plain writer of its format, imported, and equal; twice is once."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from old_format import both, state, write, write_log

import treering
from treering.messages import AgentGroup, Conversation, MemoryEntry, MemorySource, Message, UserConfig

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAME = st.text(st.sampled_from("ab/é%.-_ 😀Z"), min_size=1, max_size=6).filter(lambda name: bool(name.strip()))
#: Milliseconds, never 0: of a store that stands for no time.
TIME = st.integers(-62_135_596_800_000, 253_402_300_799_999).filter(bool)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CONFIG = st.fixed_dictionaries(
    {"defaultModel": TEXT, "maxToolRounds": st.integers(0, 2**32 - 1), "githubUsername": TEXT},
    optional={"runtimeMode": st.sampled_from(["local", "remote"])},
)
AGENTS = st.dictionaries(NAME, st.lists(NAME, min_size=1, max_size=4, unique=True), max_size=4)
ENTRY = st.fixed_dictionaries(
    {
        "id": st.integers(0, 16**12 - 1).map(lambda number: f"{number:012x}"),
        "category": st.sampled_from(["preference", "context", "x"]),
        "content": NAME.map(str.strip),
        "source": st.sampled_from(["explicit", "inferred"]),
        "createdAt": TIME,
        "updatedAt": TIME,
    }
)
MEMORY = st.lists(ENTRY, max_size=6, unique_by=lambda entry: str(entry["id"]))
MESSAGE = st.fixed_dictionaries(
    {"id": TEXT, "role": NAME, "content": TEXT, "timestamp": TIME, "status": TEXT, "error": TEXT, "thinking": TEXT}
)
ROW = st.fixed_dictionaries({"title": TEXT, "serviceId": TEXT, "llmModel": TEXT, "createdAt": TIME, "updatedAt": TIME})
CHATS = st.dictionaries(NAME, st.tuples(ROW, st.lists(MESSAGE, max_size=4)), max_size=3)
STEP = st.fixed_dictionaries(
    {
        "role": NAME.filter(lambda role: not (role.startswith("__") and role.endswith("__"))),
        "content": JSON,
        "meta": st.dictionaries(NAME, JSON, max_size=2),
        "refs": st.lists(NAME, max_size=2),
        "timestamp": TIME | st.none(),
    }
)
END = st.none() | st.fixed_dictionaries({"returnCode": st.integers(-5, 5), "summary": TEXT})
#: Steps of a thread, its end, and how many of the steps a fork keeps of it and what follows there.
LOG = st.tuples(st.lists(STEP, max_size=4), END, st.integers(0, 4), st.lists(STEP, max_size=2), END)
LOGS = st.dictionaries(st.integers(0, 99).map(str), st.tuples(JSON, LOG), max_size=3)


def iso(at_ms: int) -> str:
    """The time as a system of another language would write it."""
    days, rest = divmod(at_ms, 86_400_000)
    from datetime import date

    day = date.fromordinal(date(1970, 1, 1).toordinal() + days)
    seconds, milliseconds = divmod(rest, 1_000)
    return f"{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}Z"


def written(value: Any, form: int) -> Any:
    """Times in one of both forms."""
    if isinstance(value, dict):
        return {
            key: iso(member)
            if form and key in ("createdAt", "updatedAt", "timestamp") and member
            else written(member, form)
            for key, member in value.items()
        }
    return [written(member, form) for member in value] if isinstance(value, list) else value


def filed(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


@given(config=CONFIG, agents=AGENTS, memory=MEMORY, chats=CHATS, logs=LOGS, form=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_what_is_there(
    config: Any, agents: Any, memory: Any, chats: Any, logs: Any, form: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, treering.memory() as store:
        old, alice = Path(folder), store.scope("alice")
        write(old / "config.json", config)
        write(old / "actors.json", agents)
        write(old / "user-memory.json", {"entries": written(memory, form)})
        rows = [{"id": name, **written(row, form), "messageCount": len(said)} for name, (row, said) in chats.items()]
        write(old / "chats" / "index.json", rows)
        for name, (_, said) in chats.items():
            write(old / "chats" / f"{filed(name)}.json", written(said, form))
        for name, (prompt, (steps, end, kept, more, other_end)) in logs.items():
            steps = [written(one, 0) for one in steps]
            write_log(old, name, *steps, end=end, parameters={"prompt": prompt})
            fork = [*steps[:kept], *more]
            write_log(
                old, f"{name}f", *fork, end=other_end, parameters={"prompt": prompt}, forkFrom=name, name=f"_{name}"
            )

        report = both(alice, old)

        assert report.refused == 0, report
        found = state(alice)
        assert found["config"] == UserConfig(
            default_model=config["defaultModel"],
            max_tool_rounds=config["maxToolRounds"],
            github_username=config["githubUsername"],
            runtime_mode=config.get("runtimeMode", "local"),
            local_runtime_base_url="http://127.0.0.1:5080",
            version=1,
        )
        assert found["agents"] == [AgentGroup(agent_type=name, actor_ids=tuple(ids)) for name, ids in agents.items()]
        assert found["memory"] == [
            MemoryEntry(
                id=one["id"],
                category=one["category"],
                content=one["content"],
                source=MemorySource(one["source"]),
                created_at_ms=one["createdAt"],
                updated_at_ms=one["updatedAt"],
            )
            for one in memory
        ]
        assert {row.id: (row, said) for row, said in found["chats"]} == {
            name: (
                Conversation(
                    id=name,
                    title=row["title"],
                    service_id=row["serviceId"],
                    llm_model=row["llmModel"],
                    created_at_ms=row["createdAt"],
                    updated_at_ms=row["updatedAt"],
                    message_count=len(said),
                ),
                [
                    Message(
                        at_ms=one["timestamp"],
                        **{key: one[key] for key in ("id", "role", "content", "status", "error", "thinking")},
                    )
                    for one in said
                ],
            )
            for name, (row, said) in chats.items()
        }
        assert len(found["threads"]) == 2 * len(logs)
        for name, (prompt, (steps, end, kept, more, other_end)) in logs.items():
            fork = [*steps[:kept], *more]
            common = next((at for at, (a, b) in enumerate(zip(steps, fork, strict=False)) if not same(a, b)), None)
            common = min(len(steps), len(fork)) if common is None else common
            for key, wanted, last, place in (
                (f"log-{name}", steps, end, None),
                (f"log-{name}f", fork, other_end, (f"log-{name}", common)),
            ):
                workflow, status, code, _, forked_from, _, had_prompt, parameters, had = found["threads"][key]
                assert (workflow, status, code) == (
                    "w",
                    *(("idle", None) if last is None else ("completed", last["returnCode"])),
                )
                assert forked_from == place
                assert same(had_prompt, prompt)
                assert parameters == {}
                assert [(role, at_ms) for role, _, _, at_ms in had] == [(s["role"], s["timestamp"]) for s in wanted]
                for (_, content, meta, _), one in zip(had, wanted, strict=True):
                    assert same(content, one["content"])
                    extra = {key: value for key, value in meta.items() if key not in one["meta"]}
                    assert same({key: meta[key] for key in one["meta"]}, one["meta"])
                    assert list(extra.values()) == ([one["refs"]] if one["refs"] and "refs" in extra else [])
        assert store.verify().ok


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
