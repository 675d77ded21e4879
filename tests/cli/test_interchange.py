"""`treering export` and `treering import`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import treering

from .conftest import Cli


@pytest.mark.usefixtures("store")
class TestInterchange:
    def test_out_and_in(self, cli: Cli) -> None:
        done = cli("export", "all.car")
        first, root = done.out.splitlines()
        assert (done.code, done.err) == (0, "")
        assert first.startswith("4 threads, ")
        assert first.endswith(" in all.car")
        assert root.startswith("root bafyr4i")
        done = cli("--store", "other", "import", "all.car")
        assert (done.code, done.err, done.out.split(",")[0]) == (0, "", "4 new threads")
        again = cli("--store", "other", "import", "all.car")
        assert again.out == "nothing new: all 4 threads were there; 0 threads, 0 blocks written\n"
        with treering.open(".treering") as there, treering.open("other") as here:
            assert [t.id for t in here.threads.list()] == [t.id for t in there.threads.list()]
            assert here.verify()

    def test_a_whole_scope(self, cli: Cli) -> None:
        with treering.open(".treering") as store:
            alice = store.scope("alice")
            alice.memory.add("preference", "tea", command_id="m")
            alice.pins.add("p", alice.blocks.put(b"x"))
        done = cli("scope", "export", "alice", "alice.car")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("0 threads, 1 actor, 1 pin, 2 blocks, 1 receipt: ")
        done = cli("--store", "other", "scope", "import", "bob", "alice.car")
        assert done.out.splitlines() == [
            "0 new threads, 1 actor, 1 pin, 2 blocks written",
            "1 command receipt could not come along (they are of scope alice)",
        ]
        again = cli("--store", "other", "scope", "import", "bob", "alice.car")
        assert again.out.startswith("nothing new: all 2 others were there; 0 threads, 0 blocks written\n")
        did = json.loads(cli("--store", "third", "scope", "import", "alice", "alice.car", "--json").out)
        assert (did["actors"], did["pins"], did["new_receipts"]) == (1, 1, 1)
        with treering.open("other") as other:
            other.scope("bob").memory.add("preference", "coffee")
        with treering.open(".treering") as store:
            store.scope("alice").memory.add("preference", "milk")
        cli("scope", "export", "alice", "later.car")
        done = cli("--store", "other", "scope", "import", "bob", "later.car")
        assert (done.code, done.out) == (1, "")
        assert "bob/user-memory/" in done.err
        assert cli("scope", "export", "nobody", "n.car").code == 1

    def test_json(self, cli: Cli) -> None:
        made = json.loads(cli("export", "two.car", "ticket-812", "other", "--json").out)
        assert (len(made["threads"]), made["root"][:7]) == (2, "bafyr4i")
        did = json.loads(cli("--store", "other", "import", "two.car", "--json").out)
        assert (did["threads"], did["new_blocks"]) == (made["threads"], made["blocks"])
        assert cli("export", "third.car", "--json").code == 0

    def test_refused(self, cli: Cli, tmp_path: Path) -> None:
        cli("export", "all.car")
        done = cli("export", "all.car")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: create all.car: File exists")
        Path("bad.car").write_bytes(Path("all.car").read_bytes()[:-3])
        done = cli("--store", "other", "import", "bad.car")
        assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert done.err.startswith("error: not a file that can be imported: truncated")
        assert cli("import", "absent.car").code == 2
        assert cli("--store", "nowhere", "export", "x.car").code == 1
        assert cli("export", "x.car", "nobody").code == 1
        assert not Path("x.car").exists()

    def test_in_the_way(self, cli: Cli) -> None:
        cli("export", "all.car", "other")
        with treering.open(".treering") as store:
            other = store.threads.get("other")
            other.append("a", "later")
        done = cli("import", "all.car")
        assert (done.code, done.out) == (1, "")
        assert other.id in done.err
        done = cli("import", "all.car", "--on-conflict", "skip")
        assert done.out == (
            f"0 new threads, 0 blocks written\nleft out: {other.id}, whose id or key another thread has\n"
        )
        done = cli("import", "all.car", "--on-conflict", "rename")
        assert done.out.splitlines()[0] == "1 new thread, 0 blocks written"
        assert done.out.splitlines()[1].startswith(f"renamed: {other.id} is ")
        assert cli("import", "all.car", "--on-conflict", "replace").code == 2

    def test_another_scope_says_what_stays(self, cli: Cli) -> None:
        with treering.open(".treering") as store:
            store.threads.get("other").append("a", "x", command_id="1")
        cli("export", "one.car", "other")
        done = cli("--scope", "alice", "import", "one.car")
        assert done.out.splitlines()[1] == "1 command receipt could not come along (they are of scope main)"

    def test_through_a_pipe(self, tmp_path: Path) -> None:
        program = f'"{sys.executable}" -m treering'
        line = f"{program} export - | {program} --store other import - --json"
        environment = {**os.environ, "TREERING_STORE": str(tmp_path / ".treering")}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(json.loads(done.stdout)["threads"]) == 4
