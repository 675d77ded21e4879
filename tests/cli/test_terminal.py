"""On a terminal: colours unless NO_COLOR, a question before a removal, progress that leaves no trace in the data."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

import treering


def on_terminal(*arguments: str | Path, answer: bytes = b"", **environment: str) -> tuple[int, str]:
    """Runs a command on a terminal of 100 columns; returns its exit code and all that the terminal got."""
    ours = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "TREERING_STORE")}
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "treering", *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**ours, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    try:
        while select.select([main], [], [], 60)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not data:
                break
            seen += data
            if answer and b"[y/N]" in seen:
                os.write(main, answer)
                answer = b""
        return process.wait(60), seen.decode()
    finally:
        process.kill()
        process.wait()
        os.close(main)


def test_colours_and_their_absence(store: Path) -> None:
    code, coloured = on_terminal("--store", store, "thread", "log", "--graph", "ticket-812")
    assert code == 0
    assert "\x1b[" in coloured
    code, plain = on_terminal("--store", store, "thread", "log", "--graph", "ticket-812", NO_COLOR="1")
    assert code == 0
    assert "\x1b[3" not in plain
    assert "◆" in plain


def test_json_is_never_coloured(store: Path) -> None:
    code, text = on_terminal("--store", store, "thread", "list", "--json")
    assert code == 0
    assert len(json.loads(text)) == 4


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 1, 4), (b"\n", 1, 4), (b"y\n", 0, 3)])
def test_rm_asks(store: Path, answer: bytes, code: int, left: int) -> None:
    found, text = on_terminal("--store", store, "thread", "rm", "other", answer=answer)
    assert found == code
    assert "Remove thread " in text
    with treering.open(store) as opened:
        assert len(opened.threads.list()) == left


def test_progress_is_shown_and_wiped(tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text(json.dumps([{"n": number, "messages": []} for number in range(20)]))
    code, text = on_terminal("--store", tmp_path / "s", "thread", "import", log)
    assert code == 0
    assert "importing log.json" in text
    assert text.rstrip().endswith("20 records: 20 new threads, 0 steps, 20 blocks written")
