"""What the tests of whole scopes share: a store of each kind on a clock of its own, processes that end with them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import treering
from treering import testing

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))
sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))
from others import Other, Start


@pytest.fixture
def clock() -> testing.Clock:
    """Stands until a test moves it."""
    return testing.Clock()


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, clock: testing.Clock, tmp_path: Path) -> Iterator[treering.Store]:
    opened = testing.memory(clock=clock) if request.param == "memory" else testing.open(tmp_path / "state", clock=clock)
    with opened:
        yield opened


@pytest.fixture
def alice(store: treering.Store) -> treering.Scope:
    return store.scope("alice")


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
