"""Runs `treering …` command lines in this process and keeps all that a user would see."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import treering
from treering.cli import run

Cli = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """A shell in a fresh directory, 100 columns wide, without colours."""
    monkeypatch.chdir(tmp_path)
    for name in ("TREERING_STORE", "TREERING_SCOPE", "TREERING_BLOBS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def command(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = run(arguments)
        seen = capfd.readouterr()
        return Outcome(code, seen.out, seen.err)

    return command


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in the current directory: a thread, a fork of it, a fork of the fork, and another thread."""
    path = tmp_path / ".treering"
    with treering.open(path) as opened:
        thread = opened.threads.start(
            "fix", prompt="Fix the flaky test", key="ticket-812", labels={"team": "core", "reward": 0}
        )
        thread.append("planner", "1. reproduce\n2. bisect", meta={"phases": 2}, at_ms=1_700_000_000_000)
        thread.append("coder", "add a sleep", artifacts={"fix.diff": b"+ sleep(1)"})
        thread.append("reviewer", "rejected")
        fork = thread.fork(at=1, key="second-try", labels={"reward": 1})
        fork.append("coder", "wait for the port")
        nested = fork.fork(key="third-try")
        fork.append("reviewer", "approved")
        fork.finish(0, "done")
        nested.append("tester", "green")
        opened.threads.start("hello", key="other")
    return path
