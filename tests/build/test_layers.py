"""The layer guard finds arrows that point upwards; import-linter's contract finds them among Python modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import layers  # noqa: E402

GOOD = {
    "treering-block": {"blake3"},
    "treering-store": {"treering-block", "rusqlite"},
    "treering-objects": {"treering-store", "tokio"},
    "treering-thread": {"treering-block", "treering-store"},
    "treering-python": {"treering-thread", "treering-block", "treering-objects", "pyo3"},
    "treering-bench": {"treering-thread", "criterion"},
    "treering-fuzz": set(),
}


def test_this_workspace_points_downwards() -> None:
    crates = layers.rust_dependencies()
    assert set(layers.RUST_LAYERS) <= crates.keys()
    assert list(layers.rust_faults(crates)) == []


def test_arrows_downwards_are_fine() -> None:
    assert list(layers.rust_faults(GOOD)) == []


@pytest.mark.parametrize(
    ("crate", "uses", "named"),
    [
        ("treering-block", "treering-store", "treering-block → treering-store"),
        ("treering-store", "treering-thread", "treering-store → treering-thread"),
        ("treering-thread", "treering-python", "treering-thread → treering-python"),
        ("treering-store", "pyo3", "only treering-python knows Python"),
        ("treering-thread", "treering-objects", "only treering-python uses it"),
        ("treering-python", "treering-bench", "treering-python → treering-bench"),
        ("treering-store", "treering-fuzz", "treering-store → treering-fuzz: only tests may use it"),
        ("treering-fuzz", "treering-block", "treering-fuzz → treering-block"),
        ("treering-new", "blake3", "treering-new: a crate without a place"),
    ],
)
def test_a_planted_arrow_is_named(crate: str, uses: str, named: str) -> None:
    faults = list(layers.rust_faults({**GOOD, crate: GOOD.get(crate, set()) | {uses}}))
    assert len(faults) == 1
    assert named in faults[0]


def test_what_is_for_tests_may_be_used_by_tests() -> None:
    assert layers.declared([{"name": "treering-fuzz", "kind": "dev"}]) == set()
    assert layers.declared([{"name": "treering-fuzz", "kind": None}]) == {"treering-fuzz"}
    assert layers.declared([{"name": "proptest", "kind": "dev"}]) == {"proptest"}


@pytest.mark.parametrize(
    "line",
    [
        "from treering._core import Cid",
        "from treering import _core",
        "import treering._core",
        "from .. import _core",
        "def f():\n    from treering._core import Cid",
    ],
)
def test_the_command_line_may_not_import_the_core(tmp_path: Path, line: str) -> None:
    (tmp_path / "treering" / "cli").mkdir(parents=True)
    file = tmp_path / "treering" / "cli" / "block.py"
    file.write_text("import treering\nfrom treering import core_of_nothing\n", encoding="utf-8")
    assert list(layers.python_faults(tmp_path / "treering")) == []
    file.write_text(line + "\n", encoding="utf-8")
    (fault,) = layers.python_faults(tmp_path / "treering")
    assert fault.startswith("treering/cli/block.py:")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "python")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_planted_python_arrow_breaks_the_contract(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    errors = tmp_path / "python" / "treering" / "errors.py"
    source = errors.read_text(encoding="utf-8")
    errors.write_text(source + "\nfrom treering import thread  # planted\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "treering.errors is not allowed to import treering.thread" in done.stdout
