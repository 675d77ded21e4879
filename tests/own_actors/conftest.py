"""What the tests of own actors share: kinds of actors, which other processes find, too."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from others import Other, Start


@pytest.fixture
def start(start: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts other processes, which find `tickets`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def start_one(code: str, path: Path, *more: str) -> Other:
        return start("from tickets import *\n" + code, path, *more)

    return start_one
