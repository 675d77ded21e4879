"""Other processes that run a piece of Python, told and heard by lines."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path


class Other:
    """A Python process that runs `code`; `sys.argv[1]` is the store's directory."""

    def __init__(self, code: str, path: Path, *more: str) -> None:
        prelude = "import sys, treering\ndef say(*words): print(*words, flush=True)\n"
        command = [sys.executable, "-c", prelude + textwrap.dedent(code), str(path), *more]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def hear(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the other process ended"
        return line.strip()

    def tell(self, line: str = "go on") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def join(self, code: int = 0) -> list[str]:
        """Waits for its end; what it still said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        # Not communicate(): it passes over what hear() has read ahead.
        said = self.process.stdout.read()
        assert self.process.wait(60) == code
        return said.splitlines()

    def wake_ups(self) -> int:
        """How often any of its threads slept and was woken, ever."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Start = Callable[..., Other]


HOLD_LOCK = """
    store = treering.open(sys.argv[1])
    thread = store.threads.start("holder")
    store._session.core.hold_commit_sync()
    import threading
    appending = threading.Thread(target=thread.append, args=("a", "held"))
    before = store.counters()["batches"]
    appending.start()
    while store.counters()["batches"] == before: pass
    say("held")
    sys.stdin.readline()
    store._session.core.release_commit_sync()
    appending.join()
    say(len(thread))
"""
"""A process that stands inside a commit, with the lock, until it is told to go on."""
