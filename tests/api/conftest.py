"""What the tests of the Python API share: a store of each kind, and "nothing was written"."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import treering


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[treering.Store]:
    opened = treering.memory() if request.param == "memory" else treering.open(tmp_path / "state")
    with opened:
        yield opened


@pytest.fixture
def threads(store: treering.Store) -> treering.Threads:
    return store.threads


Unchanged = Callable[[treering.Store], AbstractContextManager[None]]


@pytest.fixture
def unchanged() -> Unchanged:
    """A `with` block after which the store must hold what it held before: blocks, refs, commits, receipts."""

    def state(store: treering.Store) -> tuple[object, ...]:
        stats = store.stats()
        counted = tuple(stats[name] for name in ("blocks", "refs", "commits", "receipts"))
        return (*counted, store.head(), tuple(store.blocks.list()))

    @contextmanager
    def check(store: treering.Store) -> Iterator[None]:
        before = state(store)
        yield
        assert state(store) == before

    return check
