"""A scope to import into."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import treering

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store() -> Iterator[treering.Store]:
    with treering.memory() as made:
        yield made


@pytest.fixture
def alice(store: treering.Store) -> treering.Scope:
    return store.scope("alice")
