"""What every benchmark shares: a store on the disk that the checkout is on.

Each figure is printed beside the floor or the peer that was measured in the same run (`extra_info`). Nothing here
asserts a time: targets are shown, not enforced, since machines differ.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import treering


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on the disk that the checkout is on: /tmp may be memory."""
    with TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as name:
        yield Path(name)


@pytest.fixture
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder / "state") as store:
        yield store
