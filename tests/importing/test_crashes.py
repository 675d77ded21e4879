"""An import that dies, at every commit and at every moment of the disk: what is there is whole files, and the next
import makes of it what one import would have."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from old_format import digest, state, step, write, write_log

import treering
from treering import testing
from treering.importing import import_json, threads

END = {"returnCode": 0, "summary": "done"}
PARTS = 3


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a log of some steps is several commits."""
    monkeypatch.setattr(threads, "COMMIT_STEPS_MAX", PARTS)
    monkeypatch.setattr("treering.importing.agents.COMMIT_IDS_MAX", PARTS)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Something of each sort; the fork's rounds are a commit more."""
    folder = tmp_path / "old"
    write(folder / "config.json", {"defaultModel": "m"})
    write(folder / "actors.json", {"t": [str(number) for number in range(2 * PARTS)]})
    write(folder / "user-memory.json", [{"id": f"{n:012x}", "content": str(n), "createdAt": n + 1} for n in range(3)])
    for name in ("c1", "c2"):
        said = [{"role": "user", "content": f"{name} {number}", "timestamp": number + 1} for number in range(3)]
        write(folder / "chats" / f"{name}.json", said)
    steps = [step("x", str(number)) for number in range(3 * PARTS)]
    rounds = [{"prompt": "p", "options": {"maxRounds": number}} for number in (8, 9)]
    write_log(folder, "t1", *steps, end=END, parameters=rounds[0])
    write_log(folder, "t2", *steps[:4], step("x", "other"), end=END, parameters=rounds[1], forkFrom="t1")
    return folder


def once(old: Path) -> dict[str, Any]:
    with treering.memory() as store:
        assert import_json(store.scope("alice"), old).refused == 0
        return state(store.scope("alice"))


def assert_whole(scope: treering.Scope, whole: dict[str, Any]) -> None:
    """Of each file all, none, or (of what is several commits) a beginning."""
    now = state(scope)
    for name in ("memory", "config"):
        empty = treering.memory().scope("alice")
        assert now[name] in (whole[name], state(empty)[name])
    for row, said in now["chats"]:
        assert (row.message_count, len(said)) == (3, 3)
    ids = [one for group in now["agents"] for one in group.actor_ids]
    assert ids == [str(number) for number in range(len(ids))]
    assert len(ids) in (0, PARTS, 2 * PARTS)
    for key, found in now["threads"].items():
        *same, steps = found
        *wanted, all_steps = whole["threads"][key]
        assert steps == all_steps[: len(steps)]
        ended = same[1] == "completed"
        assert ended == (len(steps) == len(all_steps))
        if ended:
            assert same == wanted


@pytest.mark.parametrize(
    ("error", "landed"),
    [(treering.DiskFull, False), (treering.CommitUnknown, False), (treering.CommitUnknown, True)],
)
def test_every_commit_fails_once(old: Path, tmp_path: Path, error: type[treering.TreeringError], landed: bool) -> None:
    whole = once(old)
    before = digest(old)
    failed = 0
    for nth in range(1, 100):
        faults = testing.Faults()
        with testing.memory(faults=faults) as store:
            alice = store.scope("alice")
            faults.fail("commit", error, nth=nth, landed=landed)
            with contextlib.suppress(error):
                import_json(alice, old)
            if faults.calls("commit") < nth:
                break
            failed += faults.injected
            faults.heal()
            assert_whole(alice, whole)
            assert import_json(alice, old).refused == 0
            assert state(alice) == whole
            head = store.head()
            assert import_json(alice, old).taken == 0
            assert store.head() == head
    # One of the config and each chat, two of the agents, three of t1, and of t2 a fork with the two behind it; memory
    # asks first whether it was imported.
    assert nth - 1 == 1 + 2 + 2 + 2 + 3 + 3
    assert failed >= nth - 2
    assert digest(old) == before


def test_reads_that_fail(old: Path) -> None:
    whole = once(old)
    failed = 0
    for nth in range(1, 400, 7):
        faults = testing.Faults()
        with testing.memory(faults=faults) as store:
            faults.fail("read", treering.Unavailable, nth=nth)
            try:
                import_json(store.scope("alice"), old)
            except treering.Unavailable:
                failed += 1
            faults.heal()
            import_json(store.scope("alice"), old)
            assert state(store.scope("alice")) == whole
    assert failed > 3


def test_the_power_fails(old: Path) -> None:
    whole = once(old)
    cuts = 0

    def life(store: treering.Store, mark: Callable[[str], None]) -> None:
        import_json(store.scope("alice"), old, progress=lambda done, total: mark(f"{done} of {total}"))
        mark("done")

    for cut in testing.power_cuts(life, losses=["all", "random"]):
        cuts += 1
        with testing.open(cut.path) as store:
            alice = store.scope("alice")
            assert_whole(alice, whole)
            if "done" in cut.marks:
                assert state(alice) == whole
            if cuts % 3 == 0:
                import_json(alice, old)
                assert state(alice) == whole
    assert cuts > 20


KILLED = """
import os, signal, sys
import treering
from treering.importing import agents, import_json, threads
threads.COMMIT_STEPS_MAX = agents.COMMIT_IDS_MAX = 3
left = int(sys.argv[3])

def told(done, total):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with treering.open(sys.argv[1]) as store:
    import_json(store.scope("alice"), sys.argv[2], progress=told)
"""


def test_the_process_is_killed(old: Path, tmp_path: Path) -> None:
    whole = once(old)
    for after in range(1, 8):
        path = tmp_path / f"state{after}"
        done = subprocess.run([sys.executable, "-c", KILLED, path, old, str(after)], check=False)
        assert done.returncode == -signal.SIGKILL
        with treering.open(path) as store:
            alice = store.scope("alice")
            assert_whole(alice, whole)
            assert import_json(alice, old).taken < sum(map(len, whole["threads"])) + 30
            assert state(alice) == whole
            assert store.verify().ok
        shutil.rmtree(path)


def test_two_imports_at_once(old: Path, tmp_path: Path) -> None:
    whole = once(old)
    path = tmp_path / "state"
    treering.open(path).close()
    code = KILLED.replace("left == 0", "False")
    others = [subprocess.Popen([sys.executable, "-c", code, path, old, "0"]) for _ in range(2)]
    assert [other.wait(120) for other in others] == [0, 0]
    with treering.open(path) as store:
        alice = store.scope("alice")
        # What one refused because the other wrote it just then is there, or comes now.
        import_json(alice, old)
        assert state(alice) == whole


def test_a_log_that_is_cut_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read twice where it is more than one commit: what it is the second time counts for nothing more."""
    path = write_log(tmp_path, "a", *(step("x", str(number) * 9_000) for number in range(9)))
    kept = path.read_text()
    bring = threads.bring

    def cut_first(*given: Any) -> Any:
        path.write_text("\n".join(kept.splitlines()[:5]) + '\n{"role": ')
        return bring(*given)

    monkeypatch.setattr("treering.importing.running.bring", cut_first)
    with treering.memory() as store:
        report = import_json(store.scope("alice"), path)
        assert report.files[0].outcome == "refused"
        monkeypatch.undo()
        path.write_text(kept)
        import_json(store.scope("alice"), path)
        assert [one.content for one in store.scope("alice").threads.get("log-a")] == [
            str(number) * 9_000 for number in range(9)
        ]
