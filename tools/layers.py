"""Checks that the arrows between layers point one way; exits 1 and names each one that doesn't.

Rust: what each crate of the workspace declares, dev-dependencies included. Python: who may import the
compiled module; the order of the Python modules among themselves is import-linter's (pyproject.toml).
It reads sources and manifests only, so it never compiles and needs no network.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Lowest first: a crate may use those before it.
RUST_LAYERS = (
    "treering-block",
    "treering-store",
    "treering-objects",
    "treering-thread",
    "treering-actor",
    "treering-python",
)
# Only tests may use these: what they bring does not belong into a program.
RUST_FOR_TESTS = frozenset({"treering-fuzz"})
# Beside the layers: they may use all of them, nothing may use them.
RUST_OUTSIDE = frozenset({"treering-bench", "treering-gen"})
# The core knows no Python, however it comes.
PYTHON_ONLY = frozenset({"pyo3"})
# Nor what speaks to servers: it is slow to compile, and everything but one crate does without.
BINDING_ONLY = frozenset({"treering-objects"})
# These speak to the Python API and never to the compiled module under it.
PYTHON_ABOVE_API = ("cli", "server", "integrations")


def rust_dependencies() -> dict[str, set[str]]:
    """Returns each workspace crate's declared dependencies, for any platform; of any kind, but for a crate that is for
    tests and used by tests."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {package["name"]: declared(package["dependencies"]) for package in json.loads(output)["packages"]}


def declared(dependencies: list[dict[str, Any]]) -> set[str]:
    """Returns the names of dependencies as cargo tells them, without those that are for tests and declared so."""
    return {d["name"] for d in dependencies if not (d["name"] in RUST_FOR_TESTS and d["kind"] == "dev")}


def rust_faults(crates: Mapping[str, set[str]]) -> Iterator[str]:
    """Yields a line for each dependency that points upwards and each crate without a place."""
    for name, uses in sorted(crates.items()):
        if name in RUST_OUTSIDE:
            continue
        for used in sorted(uses & RUST_FOR_TESTS):
            yield f"{name} → {used}: only tests may use it; declare it under dev-dependencies"
        if name in RUST_FOR_TESTS:
            for used in sorted(uses & crates.keys()):
                yield f"{name} → {used}: what is for tests of all crates knows none of them"
            continue
        if name not in RUST_LAYERS:
            yield f"{name}: a crate without a place; give it one in tools/layers.py"
            continue
        below = RUST_LAYERS[: RUST_LAYERS.index(name)]
        for used in sorted(uses & crates.keys() - set(below) - {name} - RUST_FOR_TESTS):
            yield f"{name} → {used}: an arrow upwards; only {', '.join(below) or 'nothing'} is below"
        if name != RUST_LAYERS[-1]:
            for used in sorted(uses & PYTHON_ONLY):
                yield f"{name} → {used}: only {RUST_LAYERS[-1]} knows Python"
            for used in sorted(uses & BINDING_ONLY):
                yield f"{name} → {used}: only {RUST_LAYERS[-1]} uses it, so that tests of the core don't compile it"


def python_faults(package: Path) -> Iterator[str]:
    """Yields a line for each import of `_core` by a module that stands above the Python API."""
    for top in PYTHON_ABOVE_API:
        files = [package / f"{top}.py", *sorted((package / top).rglob("*.py"))]
        for file in filter(Path.is_file, files):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
                if any("_core" in name.split(".") for name in imported(node)):
                    where = f"{file.relative_to(package.parent)}:{getattr(node, 'lineno', 0)}"
                    yield f"{where} imports _core: it speaks to the Python API only"


def imported(node: ast.AST) -> Iterator[str]:
    """Yields the dotted names that an import statement brings in; nothing for another node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def main() -> int:
    faults = [*rust_faults(rust_dependencies()), *python_faults(ROOT / "python" / "treering")]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
