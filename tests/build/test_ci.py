"""`.ci/run` runs what everybody runs, and stops at the first failure."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, make_script: str) -> tuple[int, list[str]]:
    """Returns the exit code of .ci/run and what it asked make for, `make` being this script."""
    fake = folder / "make"
    fake.write_text(f'#!/bin/sh\necho "$*" >> "{folder}/asked"\n{make_script}\n', encoding="utf-8")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([str(ROOT / ".ci" / "run")], env=environment, capture_output=True, check=False)
    return done.returncode, (folder / "asked").read_text(encoding="utf-8").splitlines()


def test_it_runs_the_tests_then_the_long_ones(tmp_path: Path) -> None:
    assert run(tmp_path, "exit 0") == (0, ["test", "test-long"])


def test_it_stops_where_something_fails(tmp_path: Path) -> None:
    code, asked = run(tmp_path, "exit 2")
    assert code == 2
    assert asked == ["test"]


def test_finding_no_tests_is_a_failure(pytester: pytest.Pytester) -> None:
    assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret == pytest.ExitCode.NO_TESTS_COLLECTED
