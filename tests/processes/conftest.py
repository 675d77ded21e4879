"""What the tests of several processes share: the processes that they start end with them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from others import Other, Start

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts other processes; those that are left are killed at the end."""
    others: list[Other] = []

    def start_one(code: str, path: Path, *more: str) -> Other:
        others.append(Other(code, path, *more))
        return others[-1]

    yield start_one
    for other in others:
        if other.process.poll() is None:
            other.kill()
        for pipe in (other.process.stdin, other.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
