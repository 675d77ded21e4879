"""The examples run, survive what they say they survive, and print what they promise."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import treering

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {key: value for key, value in os.environ.items() if key != "TREERING_DATA"}
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        env={**ours, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("kills", [(), (1,), (2, 1), (1, 1, 1, 1, 1), (5,)])
def test_engine_survives_kills(tmp_path: Path, kills: tuple[int, ...]) -> None:
    state = tmp_path / "state"
    for steps in kills:
        assert run("engine.py", state, "--die-after", str(steps)).returncode == -signal.SIGKILL
    done = run("engine.py", state)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "1 planner · 1. reproduce  2. bisect  3. fix  (Fix the flaky test in tests/test_port.py)",
        "2 coder · add a sleep",
        "3 reviewer · a sleep only hides it",
        "4 coder · wait for the port instead",
        "5 reviewer · approved",
        "6 __end__ · approved",
    ]
    assert run("engine.py", state).stdout == done.stdout
    with treering.open(state) as store:
        (thread,) = store.threads.list()
        assert thread.status == "completed"
        assert store.verify().ok


def test_harness_on_the_shipped_conversations() -> None:
    done = run("harness.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "conversations.json: 12 trials, 189 steps, 5 failed"
    assert lines[1].split() == ["task", "trials", "passed", "pass^1", "pass^2", "pass^3"]
    assert lines[-1].split() == ["all", "12", "7", "0.600", "0.267", "0.000"]


def test_harness_on_the_real_conversations() -> None:
    folder = os.environ.get("TREERING_DATA")
    if not folder or not (Path(folder) / "tau-bench-airline-gpt-4o.json").exists():
        pytest.skip("TREERING_DATA names no directory with tau-bench-airline-gpt-4o.json")
    done = run("harness.py", TREERING_DATA=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].split() == ["all", "200", "84", "0.420", "0.273", "0.220", "0.200"]


def test_stores_on_files_and_on_treering() -> None:
    done = run("stores.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "I know 0 of your preferences: none",
        "I know 1 of your preferences: answers in French",
        "I know 1 of your preferences: answers in French",
        "I know 1 of your preferences: answers in French",
        "6 messages, 1 memory",
        "on files and on treering: the same",
        "and treering knows how it came to be: ChatAppended, ChatAppended, ChatAppended",
    ]


# Jupyter's packages warn about themselves; what is tested here is the notebook.
@pytest.mark.filterwarnings("default")
def test_tour() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code), "committed without outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "common: step 1; then 1 step each" in printed
    assert "12 threads, 189 steps, " in printed
    assert "HeadMoved" not in printed


def test_ticket_desk_again_and_again(tmp_path: Path) -> None:
    """Every command has an id: a second run writes nothing and says the same."""
    state = tmp_path / "state"
    heads = []
    for _ in range(2):
        done = run("ticket_desk.py", state)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "refused: the ticket is closed",
            "open: {'T-1': 'the printer is on fire'}",
            "tickets/T-1/log.txt:3: 10:03 ERROR fire",
            "tickets/T-2/log.txt:1: 07:59 ERROR beans",
            "the printer is on fire: open, ['it is only smoke'], ('tickets/T-1/log.txt',)",
            "as it was taken: open []",
            "events: Opened Attached Noted",
            "sound: True",
        ]
        with treering.open(state) as store:
            heads.append(store.head())
    assert heads[0] == heads[1]


#: Runs it, and is killed before the n-th line of its `main` and `take`.
KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import ticket_desk
from pathlib import Path
lines, ours = int(sys.argv[3]), (ticket_desk.main.__code__, ticket_desk.take.__code__)
def trace(frame, event, argument):
    global lines
    if frame.f_code not in ours:
        return None
    lines -= event == "line"
    if lines < 0:
        os.kill(os.getpid(), 9)
    return trace
sys.settrace(trace)
ticket_desk.main(Path(sys.argv[2]))
"""


def test_ticket_desk_killed_in_the_middle(tmp_path: Path) -> None:
    """Wherever it is killed, a ticket is there with its file or not at all; the next run goes on to the same end."""
    whole = run("ticket_desk.py", tmp_path / "whole")
    assert whole.returncode == 0
    sys.path.insert(0, str(EXAMPLES))
    try:
        from ticket_desk import Ticket
    finally:
        sys.path.remove(str(EXAMPLES))
    state, seen = tmp_path / "state", set()
    for lines in (3, 5, 9, 17):
        killed = subprocess.run([sys.executable, "-c", KILLED, EXAMPLES, state, str(lines)], check=False, timeout=120)
        assert killed.returncode == -signal.SIGKILL, lines
        with treering.open(state) as store:
            desk = store.scope("desk")
            for number in ("T-1", "T-2"):
                path = f"tickets/{number}/log.txt"
                there = desk.files.stat(path) is not None
                assert desk.own(Ticket, number).get().state.files == ((path,) if there else ())
                assert there or desk.own(Ticket, number).get().version == 0
            seen.add(len(list(desk.history())))
    done = run("ticket_desk.py", state)
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    told = []
    for path in (state, tmp_path / "whole"):
        with treering.open(path) as store:
            changes = store.scope("desk").history()
            told.append(sorted((one.kind, one.parts, one.version, one.change) for one in changes))
    assert told[0] == told[1]
    # They were different places.
    assert len(seen) > 2, seen
