"""The same fuzzing for two minutes, and every byte of a database flipped. Longer: `docs/fuzzing.md`."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CRATES = ("treering-block", "treering-store", "treering-thread")
#: For each function: twenty in the core, and five and seven files of old data here, make three minutes.
FOR_LONG = {"TREERING_FUZZ_SECONDS": "6"}
if "CI" in os.environ:
    # What is new is looked for elsewhere: there each run searches the same.
    FOR_LONG["TREERING_FUZZ_SEED"] = "1"
SAID = re.compile(r"(\w+): seed (\d+), (\d+) inputs")


def assert_fuzzed(output: str, functions: int) -> None:
    said = SAID.findall(output)
    assert len({name for name, _, _ in said}) >= functions, output
    assert all(int(inputs) > 100 for _, _, inputs in said), said


@pytest.mark.long
def test_the_core_for_long(cargo_test: Callable[..., str]) -> None:
    packages = [word for crate in CRATES for word in ("--package", crate)]
    assert_fuzzed(cargo_test(*packages, "fuzz_", "--", "--nocapture", **FOR_LONG), functions=20)


@pytest.mark.long
def test_python_for_long() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-k", "test_fuzz", str(Path(__file__).parent)]
    done = subprocess.run(command, env=os.environ | FOR_LONG, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_fuzzed(done.stdout, functions=6)


@pytest.mark.long
def test_every_byte_of_a_database_flipped(cargo_test: Callable[..., str], in_memory: dict[str, str]) -> None:
    test = ("--package", "treering-store", "--test", "damaged_database")
    printed = cargo_test(*test, "--", "--ignored", **in_memory)
    assert "2 passed" in printed
