"""`pip install .` gives a working command in a clean environment, with almost nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    *("treering", "pip", "setuptools"),
    # typer and rich, and what they bring themselves
    *("typer", "rich", "click", "shellingham", "annotated-doc", "typing-extensions"),
    *("markdown-it-py", "mdurl", "pygments"),
    # typer from 0.29 on brings pydantic
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection"),
}

pytestmark = pytest.mark.long


def run(*command: str | Path, cwd: Path) -> str:
    stranger = {k: v for k, v in os.environ.items() if not k.startswith(("PYO3_", "TREERING_", "VIRTUAL_ENV"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=stranger, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("treering-*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheel; its bin folder."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(folder / "venv" / "bin" / "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv" / "bin"


def test_the_wheel_holds_what_it_promises(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("treering/py.typed", "treering/_core.pyi", "treering/data/demo/conversations.json"):
        assert wanted in names
    assert any(n.endswith("/licenses/LICENSE") for n in names)
    assert [n for n in names if n.startswith("treering/_core.") and n.endswith(".so")]
    assert not [n for n in names if n.startswith(("tests/", "rust/")) or "__pycache__" in n]


def test_it_imports_and_demonstrates_itself(clean: Path, tmp_path: Path) -> None:
    where = run(clean / "python", "-c", "import treering; print(treering.__file__)", cwd=tmp_path)
    assert where.startswith(str(clean.parent))
    assert "treering" in run(clean / "treering", "--help", cwd=tmp_path)
    assert run(clean / "treering", "demo", cwd=tmp_path).strip()


def test_it_brings_almost_nothing_along(clean: Path, tmp_path: Path) -> None:
    listed = json.loads(run(clean / "python", "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    names = {d["name"].lower().replace("_", "-") for d in listed}
    assert "treering" in names
    assert names <= ALLOWED, names - ALLOWED


def test_all_parts_fit_each_other(clean: Path, tmp_path: Path) -> None:
    run(clean / "python", "-m", "pip", "check", cwd=tmp_path)
