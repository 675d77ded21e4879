"""A lease that nobody gave back is given back when it is dropped, and no thread of Python waits for that."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import treering

fcntl = pytest.importorskip("fcntl", reason="locks of other processes are taken by hand")


def test_other_threads_run_while_a_dropped_lease_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with treering.open(path, lock_wait_s=2) as store:
        thread = store.threads.start("loop")
        lease = thread.lease("worker")
        lease.__enter__()
        # As another process that writes; another thread has it end.
        with (path / "lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            def let_go() -> None:
                time.sleep(0.2)
                fcntl.flock(lock, fcntl.LOCK_UN)

            other = threading.Thread(target=let_go)
            other.start()
            del lease
            other.join()
        # Had it kept the other thread from running, it would have waited in vain, and others would find it held.
        opened = f"treering.open({os.fspath(path)!r}, read_only=True)"
        look = f"import treering; print({opened}.threads.get({thread.id!r}).status)"
        seen = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)
        assert seen.stdout == "idle\n"
