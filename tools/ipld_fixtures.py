"""Fetches the published codec fixtures that the tests read: `ipld_fixtures.py LOCK TARGET`.

It downloads one source archive, pinned by its hash in LOCK, with plain pip and this machine's own pip
settings, and unpacks only the fixtures into TARGET. It never builds or installs what it downloads.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

INSIDE = "data/fixtures/"


def fetch(lock: Path, target: Path) -> int:
    """Returns how many fixture files TARGET holds afterwards; TARGET is replaced whole."""
    with tempfile.TemporaryDirectory() as scratch:
        # pip asks the archive's build backend for its metadata; ours is the same one and is here already.
        bin_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"),
                *("--dest", scratch, "--requirement", str(lock)),
            ],
            check=True,
            env={**os.environ, "PATH": bin_first},
        )
        (archive,) = Path(scratch).glob("*.tar.gz")
        return unpack(archive, target)


def unpack(archive: Path, target: Path) -> int:
    """Copies the files under data/fixtures of `archive` into `target`, plain files only."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, inner = member.name.partition("/")
            relative = Path(inner.removeprefix(INSIDE))
            if not member.isfile() or not inner.startswith(INSIDE) or ".." in relative.parts:
                continue
            source = tar.extractfile(member)
            if source is None:
                continue
            destination = fresh / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read())
            count += 1
    if count == 0:
        raise SystemExit(f"{archive.name} holds no {INSIDE}: has its layout changed?")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return count


if __name__ == "__main__":
    lock_path, target_path = map(Path, sys.argv[1:])
    print(f"{fetch(lock_path, target_path)} codec fixtures in {target_path}")
