"""What takes minutes in the core's own tests: they are left out of `cargo test` and run from here."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINUTES_MAX = 40


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "binary", "name"),
    [
        ("treering-store", "crash_kill", "nothing_answered_is_lost_to_a_thousand_kills"),
        ("treering-store", "gc_interleavings", "orders::every_order_of_one_collection_and_a_longer_writer"),
    ],
)
def test_core(package: str, binary: str, name: str) -> None:
    command = ["cargo", "test", "--locked", "--quiet", "--package", package, "--test", binary]
    done = subprocess.run(
        [*command, "--", "--ignored", "--exact", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MINUTES_MAX * 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, f"no test of the name {name}:\n{done.stdout}"
