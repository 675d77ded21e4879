"""Hundreds of MiB through a bucket, in a process of its own whose memory is looked at: it does not grow with them."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server import Server

COUNT = 400
LIMIT_MIB = 64

CODE = """
import sys, treering
MIB = 1 << 20
def piece(number):
    return number.to_bytes(4, "big") * (MIB // 4)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
count, path, url = int(sys.argv[1]), sys.argv[2], sys.argv[3]
store = treering.open(path, blobs=url, settings=treering.Settings(file_bytes=count * MIB))
alice = store.scope("alice")
alice.files.put("warm", map(piece, range(20)))
with alice.files.open("warm") as file:
    file.read(5), file.range(5, 5)
before = peak()
alice.files.put("big", map(piece, range(count)))
print("put", peak() - before)
with alice.files.open("big") as file:
    for number, found in enumerate(file.chunks()):
        assert found == piece(number), number
assert number == count - 1
print("read", peak() - before)
assert store.verify().ok
print("verify", peak() - before)
"""


@pytest.mark.long
def test_memory_is_bounded(server: Server, place: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(COUNT), str(tmp_path / "state"), server.url(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown = {what: int(mib) for what, mib in (line.split() for line in done.stdout.splitlines())}
    assert set(grown) == {"put", "read", "verify"}
    assert max(grown.values()) <= LIMIT_MIB, grown
