"""What goes wrong: one line, a hint where one helps, the exit code, nothing on stdout, nothing made."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import treering

from .conftest import Cli


def test_no_store(cli: Cli) -> None:
    for command in (["thread", "list"], ["thread", "show", "x"], ["verify"], ["stats"], ["block", "list"]):
        done = cli(*command)
        assert (done.code, done.out) == (1, "")
        error, hint = done.err.splitlines()
        assert error == "error: no store: .treering is not there"
        assert hint.startswith("hint: treering thread import FILE makes one")
    assert list(Path().iterdir()) == []


def test_a_directory_that_is_no_store(cli: Cli) -> None:
    Path("home").mkdir()
    Path("home/photo.jpg").write_bytes(b"x")
    done = cli("--store", "home", "thread", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert [path.name for path in Path("home").iterdir()] == ["photo.jpg"]


@pytest.mark.usefixtures("store")
def test_an_unknown_thread(cli: Cli) -> None:
    done = cli("thread", "show", "ticket-999")
    assert (done.code, done.out) == (1, "")
    assert "ticket-999" in done.err.splitlines()[0]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "\\..\\x", "x" * 5000])
def test_ids_that_look_like_paths(cli: Cli, name: str) -> None:
    done = cli("thread", "show", name)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("store")
def test_an_ambiguous_id_lists_candidates(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        ids = [thread.id for thread in opened.threads.list()]
    common = ids[0][: next(at for at in range(26) if len({thread_id[at] for thread_id in ids}) > 1)]
    assert len(common) >= 4, "threads of one second share the beginning of their ids"
    done = cli("thread", "show", common)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert all(done.err.count(thread_id) == 1 for thread_id in ids)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("how", [["--at", "99"], ["--before", "nobody"]])
def test_a_hint_is_about_what_is_missing(cli: Cli, how: list[str]) -> None:
    done = cli("thread", "fork", "ticket-812", *how)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert "thread list" in cli("thread", "fork", "ticket-999", *how).err


@pytest.mark.parametrize("data", [b"\x00\x01", b'[{"messages": []}', b'{\n "messages": []\n}', b"[\xff]"])
def test_what_is_no_chat_log_makes_no_store(cli: Cli, data: bytes) -> None:
    Path("log.json").write_bytes(data)
    done = cli("thread", "import", "log.json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert [path.name for path in Path().iterdir()] == ["log.json"]


@pytest.mark.usefixtures("store")
def test_a_file_that_can_not_be_written(cli: Cli) -> None:
    done = cli("thread", "export", "--all", "-o", "absent/out.json")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"error: no such directory: {Path('absent').resolve()}\n"


@pytest.mark.usefixtures("store")
def test_days_that_are_none(cli: Cli) -> None:
    for day in ("yesterday", "2026-02-30", "2026-1-1"):
        done = cli("thread", "list", "--day", day)
        assert (done.code, done.out) == (1, "")
        assert day in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout(store: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m treering --store {store} thread list --json > /dev/full"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


@pytest.mark.usefixtures("store")
def test_an_absent_block(cli: Cli) -> None:
    absent = str(treering.Cid.of(b"absent"))
    done = cli("block", "get", absent)
    assert (done.code, done.out) == (1, "")
    assert absent in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["thread", "nonsense"],
        ["thread", "list", "--nonsense"],
        ["thread", "list", "--label", "no-equals"],
        ["thread", "list", "--status", "nonsense"],
        ["thread", "show"],
        ["thread", "log"],
        ["thread", "log", "--graph", "--reverse", "x"],
        ["thread", "fork", "x", "--at", "1", "--before", "coder"],
        ["thread", "fork", "x", "--occurrence", "third"],
        ["thread", "fork", "x", "--at", "-1"],
        ["thread", "import", "absent.json"],
        ["thread", "import", "."],
        ["block", "put", "absent"],
        ["block", "get", "--raw", "--json", "bafkr4i"],
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: treering")
    assert hint.endswith("--help")


def test_a_group_without_a_command_shows_its_help(cli: Cli) -> None:
    for arguments in ([], ["thread"], ["block"]):
        done = cli(*arguments)
        assert (done.code, done.err) == (2, "")
        assert "Usage" in done.out


def test_a_reader_that_leaves_is_no_error(store: Path) -> None:
    """`treering block list | head -1`."""
    with treering.open(store) as opened, opened.scope("main").commit() as commit:
        for number in range(5000):
            commit.put(b"%d" % number)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m treering --store {store} block list | head -1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout.splitlines()) == 1


def test_an_interrupt_is_no_traceback(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "treering", "--store", tmp_path / "s", "thread", "import", fifo],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with fifo.open("wb"):  # the command reads now, and waits
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == ""
