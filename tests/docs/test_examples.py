"""Every example runs from start to end in a fresh folder, as its reader would run it."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE_SECONDS_MAX = 300


def found(pattern: str) -> list[Path]:
    return sorted((ROOT / "examples").glob(pattern))


@pytest.mark.parametrize("path", found("*.py"), ids=lambda p: p.name)
def test_script(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=EXAMPLE_SECONDS_MAX,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), f"{path.name} says nothing: what would its reader see?"


# The kernel's own packages warn about each other; the cells' warnings show in their outputs.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", found("*.ipynb"), ids=lambda p: p.name)
def test_notebook(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=EXAMPLE_SECONDS_MAX,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert any(cell.get("outputs") for cell in notebook.cells), f"{path.name} shows nothing"
