"""Large files, in a process of their own whose memory is looked at: it does not grow with what goes through it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

MIB = 1 << 20

PRELUDE = """
import hashlib, resource, sys, treering
from treering import Settings
MIB = 1 << 20
def piece(number):
    return number.to_bytes(4, "big") * (MIB // 4)
def pieces(count):
    for number in range(count):
        yield piece(number)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
count, root = int(sys.argv[1]), sys.argv[2]
store = treering.open(root + "/state", settings=Settings(file_bytes=count * MIB))
alice = store.scope("alice")
alice.files.put("warm", pieces(3))
with alice.files.open("warm") as file:
    file.read(); file.range(5, 5)
before = peak()
def grown(what):
    print(what, peak() - before, flush=True)
"""


def run(code: str, count: int, root: Path) -> dict[str, int]:
    """How many MiB the process's memory had grown by after each thing that it did."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(count), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {what: int(grown) for what, grown in (line.split() for line in done.stdout.splitlines())}


STREAM = """
    info = alice.files.put("big", pieces(count)).value
    assert info.size == count * MIB
    grown("put")
    with alice.files.open("big") as file:
        for number, found in enumerate(file.chunks()):
            assert found == piece(number), number
        assert number == count - 1
        grown("read")
        for number in (0, 1, count // 2, count - 1):
            behind = piece(number + 1)[:8] if number + 1 < count else b""
            assert file.range(number * MIB + MIB - 8, 16) == piece(number)[-8:] + behind
        file.seek(-4, 2)
        assert file.read() == (count - 1).to_bytes(4, "big")
        grown("ranges")
    alice.files.delete("big")
    alice.files.trim(keep=0)
    store.gc()
    grown("gc")
"""

ELSEWHERE = """
    from pathlib import Path
    info = alice.files.put("big", pieces(count)).value
    grown("put")
    assert store.verify().ok
    grown("verify")
    store.backup(root + "/backup")
    grown("backup")
    with treering.open(root + "/copy") as other:
        store.copy_to(other)
        grown("copy")
        with other.scope("alice").files.open("big") as file:
            assert sum(map(len, file.chunks())) == count * MIB
    thread = alice.threads.start("t")
    thread.append("coder", "see", links=[info.content])
    thread.export(root + "/thread.car")
    grown("export")
    with treering.open(root + "/third") as third:
        third.scope("bob").import_car(root + "/thread.car")
        grown("import")
        assert third.verify().ok
    tree = max(Path(root, "state/blobs").rglob("*.obao"), key=lambda path: path.stat().st_size)
    tree.write_bytes(b"damaged")
    assert not store.verify().ok
    store.verify(repair=True)
    assert store.verify().ok
    grown("repair")
"""


@pytest.mark.long
def test_2_gib_in_and_out(tmp_path: Path) -> None:
    grown = run(STREAM, 2048, tmp_path)
    assert set(grown) == {"put", "read", "ranges", "gc"}
    assert max(grown.values()) <= 64, grown


@pytest.mark.parametrize("count", [130, pytest.param(1500, marks=pytest.mark.long)])
def test_what_goes_through_everything_else(tmp_path: Path, count: int) -> None:
    grown = run(ELSEWHERE, count, tmp_path)
    assert set(grown) == {"put", "verify", "backup", "copy", "export", "import", "repair"}
    assert max(grown.values()) <= 64, grown
