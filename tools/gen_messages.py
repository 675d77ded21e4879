"""Writes what is made of the .proto files of rust/actor: Rust structs, `treering.messages`, and what converts them.

`rust/gen` writes the text, rustfmt and ruff format it. Rust's own files are formatted as `cargo fmt` would.

    python tools/gen_messages.py            # write
    python tools/gen_messages.py --check    # exit 1 if a committed file is not what this would write
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "rust" / "actor" / "proto"
TARGETS = (
    "rust/actor/src/messages/generated.rs",
    "python/treering/messages.py",
    "rust/python/src/messages/generated.rs",
)


def run(verb: str, target: Path) -> None:
    """Lets `rust/gen` write its `sources` below a folder, or the compiled set's `descriptors` into a file."""
    cargo = ["cargo", "run", "--locked", "--quiet", "--package", "treering-gen", "--"]
    subprocess.run([*cargo, verb, str(PROTOS), str(target)], cwd=ROOT, check=True)


def generate(folder: Path) -> None:
    """Writes all targets, formatted, under another root."""
    run("sources", folder)
    rust = [str(folder / target) for target in TARGETS if target.endswith(".rs")]
    python = [str(folder / target) for target in TARGETS if target.endswith(".py")]
    subprocess.run(["rustfmt", "--edition", "2024", *rust], check=True)
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", str(ROOT / "pyproject.toml")]
    subprocess.run([*ruff, *python], check=True)


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder)
        if "--check" not in arguments:
            for target in TARGETS:
                shutil.copyfile(folder / target, ROOT / target)
            return 0
        stale = [target for target in TARGETS if (folder / target).read_bytes() != (ROOT / target).read_bytes()]
    for target in stale:
        print(f"{target} is not what tools/gen_messages.py writes; run `make gen`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
