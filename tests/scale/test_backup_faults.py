"""Backups that are cut short at every sync and by every failing operation, not only at some of them."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_every_moment_and_every_operation() -> None:
    command = ["cargo", "test", "--locked", "--quiet", "--package", "treering-store", "--test", "backup_faults"]
    done = subprocess.run([*command, "--", "--ignored"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
