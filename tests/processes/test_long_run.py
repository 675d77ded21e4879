"""The long form of what the core's tests show in seconds: ten minutes of writers, a reader and a collector."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_ten_minutes_of_writers_a_reader_and_a_collector() -> None:
    seconds = os.environ.get("TREERING_TEST_SECONDS", "600")
    command = ["cargo", "test", "--locked", "--quiet", "--package", "treering-store", "--test", "processes_long_run"]
    test = ["--", "--exact", "writers_a_reader_and_a_collector", "--nocapture"]
    environment = {**os.environ, "TREERING_TEST_SECONDS": seconds}
    done = subprocess.run(command + test, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout
    assert f"{seconds} s: " in done.stdout
