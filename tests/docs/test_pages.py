"""Every snippet of README and docs runs, and prints what the page shows."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(ROOT / "tests" / "objects"))

import page  # noqa: E402
from server import CREDENTIALS, Server  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with Server(tmp_path_factory.mktemp("s3") / "served") as server:
        for name, value in {**CREDENTIALS, "S3_ENDPOINT": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_page(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "decisions" not in path.parts and "S3_ENDPOINT" in path.read_text(encoding="utf-8"):
        request.getfixturevalue("s3")
    page.run(path, tmp_path)


def test_the_pages_that_teach_run_something(tmp_path: Path) -> None:
    teaching = [p for p in PAGES if "decisions" not in p.parts]
    for number, path in enumerate(teaching):
        folder = tmp_path / str(number)
        folder.mkdir()
        if page.run(path, folder):
            return
    pytest.fail("no page of README and docs holds a single block that runs")
