"""A second run compiles nothing and downloads nothing; cargo and maturin share their work."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# What `make lint`, `make rust` and maturin let cargo do.
CARGO_RUNS = {
    "clippy": ["clippy", "--workspace", "--all-targets"],
    "tests": ["test", "--no-run"],
    "bucket tests": ["test", "--no-run", "--package", "treering-objects"],
    "binding": ["build", "--package", "treering-python", "--lib"],
}


def no_network() -> dict[str, str]:
    """Returns an environment like a user's in which pip and cargo refuse to reach out."""
    inherited = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
    return {**inherited, **proxies, "CARGO_NET_OFFLINE": "true", "PIP_NO_INDEX": "1"}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=no_network(),
        capture_output=True,
        text=True,
        check=False,
    )


def cargo_environment() -> dict[str, str]:
    """Returns what the Makefile exports to cargo, whether or not make started these tests."""
    lines = make("--silent", "env").stdout.splitlines()
    pairs = (re.fullmatch(r'export (\w+)="(.*)"', line) for line in lines)
    exported = {pair[1]: pair[2] for pair in pairs if pair}
    assert "PYO3_PYTHON" in exported
    return {**no_network(), **exported}


def compiled(arguments: list[str], environment: dict[str, str]) -> set[str]:
    """Returns the names of the crates that this cargo run compiled anew."""
    command = ["cargo", arguments[0], "--locked", "--quiet", "--message-format", "json", *arguments[1:]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    messages = map(json.loads, done.stdout.splitlines())
    artifacts = [m for m in messages if m["reason"] == "compiler-artifact"]
    assert artifacts, "cargo reported no crate at all"
    return {a["target"]["name"] for a in artifacts if not a["fresh"]}


def test_a_second_build_runs_no_command() -> None:
    first = make("build")
    assert first.returncode == 0, first.stderr
    again = make("--dry-run", "build")
    assert again.returncode == 0
    assert not re.search(r"maturin|pip |cargo|venv ", again.stdout), again.stdout
    demo = make("--dry-run", "demo")
    assert [line.split()[1:] for line in demo.stdout.splitlines()] == [["demo"]]


def test_a_second_run_of_cargo_compiles_nothing_whatever_ran_between() -> None:
    environment = cargo_environment()
    for arguments in CARGO_RUNS.values():
        compiled(arguments, environment)
    anew = {name: compiled(arguments, environment) for name, arguments in CARGO_RUNS.items()}
    assert [crate for crates in anew.values() for crate in crates] == [], anew


@pytest.mark.parametrize("newer", ["rust/block/src/lib.rs", "Cargo.lock", "pyproject.toml"])
def test_a_changed_source_is_built_again(newer: str) -> None:
    planned = make("--dry-run", f"--what-if={newer}", "build")
    assert planned.returncode == 0, planned.stderr
    assert "maturin develop --locked" in planned.stdout
    assert "pip install" not in planned.stdout


def test_a_changed_lock_is_installed_again() -> None:
    planned = make("--dry-run", "--what-if=requirements-dev.lock", "build")
    assert "pip install" in planned.stdout
    assert "--require-hashes" in planned.stdout


def test_maturin_and_cargo_share_their_work(tmp_path: Path) -> None:
    """Third-party crates only: our own crate may be linked once more by the other tool."""
    environment = cargo_environment()
    compiled(CARGO_RUNS["binding"], environment)
    maturin = Path(sys.executable).with_name("maturin")
    # `build` is `develop` without the install, which would replace the module under these very tests.
    subprocess.run(
        [maturin, "build", "--locked", "--profile", "dev", "--auditwheel", "skip", "--out", tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    ours = {"_core", "treering_block", "treering_store", "treering_thread", "treering_actor"}
    assert compiled(CARGO_RUNS["binding"], environment) <= ours


def test_help_names_every_target() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert declared
    listed = re.findall(r"^  make (\S+)", make("help").stdout, re.MULTILINE)
    assert set(listed) == set(declared[1].split())


def test_cargo_is_always_told_to_keep_the_lock() -> None:
    runs = re.findall(r"^\t.*\bcargo (?:clippy|test|bench|build)\b.*$", MAKEFILE, re.MULTILINE)
    assert len(runs) >= 3
    assert [line for line in runs if "--locked" not in line] == []
    assert not re.search(r"^\s*export RUSTFLAGS|RUSTFLAGS *[:?]?=", MAKEFILE, re.MULTILINE)
