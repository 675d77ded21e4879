"""`make preflight` names the very packages that a machine lacks, and changes nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PREFLIGHT = Path(__file__).resolve().parents[2] / "tools" / "preflight"
EVERYTHING = ("git", "make", "cc", "python3", "rustc", "cargo", "cargo-fmt", "cargo-clippy")
SHELL = ("sh", "mktemp", "rm", "sed")


def machine(folder: Path, **tools: str | None) -> dict[str, str]:
    """Returns the environment of a machine with these programs: name=script, None for one that is missing."""
    folder.mkdir()
    for name in SHELL:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    fakes = {
        "git": "exit 0",
        "make": "exit 0",
        "cc": "exit 0",
        "python3": "exit 0",
        "cargo": "exit 0",
        "rustc": "echo 'rustc 1.95.0 (0123456 2026-03-21)'",
        **tools,
    }
    for name, script in fakes.items():
        if script is not None:
            path = folder / name
            path.write_text(f"#!{folder}/sh\n{script}\n", encoding="utf-8")
            path.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHON", "CC"}}
    return {**kept, "PATH": str(folder)}


def preflight(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PREFLIGHT), *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_machine_with_everything_passes_in_silence(tmp_path: Path) -> None:
    done = preflight(machine(tmp_path / "bin"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("tools", "advice"),
    [
        ({"git": None}, "apt-get install -y git"),
        ({"make": None}, "apt-get install -y make"),
        ({"cc": "exit 1"}, "apt-get install -y build-essential"),
        ({"cc": None}, "apt-get install -y build-essential"),
        ({"python3": "exit 1"}, "apt-get install -y python3 python3-venv python3-pip"),
        ({"python3": 'case "$2" in *venv*) exit 1;; esac'}, "apt-get install -y python3-venv"),
        ({"rustc": None}, "rustup toolchain install stable"),
        ({"rustc": "echo 'rustc 1.63.0 (4b91a6e 2022-08-08)'"}, "Rust 1.89 or newer"),
        ({"cargo": '[ "$1" != fmt ]'}, "rustup component add rustfmt"),
        ({"cargo": '[ "$1" != clippy ]'}, "rustup component add clippy"),
        ({"git": None, "cc": None}, "apt-get install -y git build-essential"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, tools: dict[str, str | None], advice: str) -> None:
    done = preflight(machine(tmp_path / "bin", **tools))
    assert done.returncode == 1
    assert advice in done.stderr


def test_the_first_python_that_fits_is_taken(tmp_path: Path) -> None:
    environment = machine(tmp_path / "bin", python3="exit 1", **{"python3.12": "exit 0"})
    assert preflight(environment, "--python").stdout == "python3.12\n"
