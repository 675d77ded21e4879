"""The same fuzzing for two minutes, and every byte of a database flipped. Longer: `docs/fuzzing.md`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CRATES = ("treering-block", "treering-store", "treering-thread")
#: For each function: eighteen in the core and five here make two minutes.
SECONDS = 6
SAID = re.compile(r"(\w+): seed (\d+), (\d+) inputs")


def run(*command: str, **more: str) -> str:
    """Returns what a command printed; fails with all of it."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_fuzzed(output: str, functions: int) -> None:
    said = SAID.findall(output)
    assert len({name for name, _, _ in said}) >= functions, output
    assert all(int(inputs) > 100 for _, _, inputs in said), said


@pytest.mark.long
def test_the_core_for_long() -> None:
    packages = [word for crate in CRATES for word in ("--package", crate)]
    command = ["cargo", "test", "--locked", "--quiet", *packages, "fuzz_", "--", "--nocapture"]
    assert_fuzzed(run(*command, TREERING_FUZZ_SECONDS=str(SECONDS)), functions=18)


@pytest.mark.long
def test_python_for_long() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-k", "test_fuzz", str(Path(__file__).parent)]
    assert_fuzzed(run(*command, TREERING_FUZZ_SECONDS=str(SECONDS)), functions=5)


@pytest.mark.long
def test_every_byte_of_a_database_flipped() -> None:
    command = ["cargo", "test", "--locked", "--package", "treering-store", "--test", "damaged_database"]
    assert "2 passed" in run(*command, "--", "--ignored")
