"""What all tests share: how hypothesis searches, a store of each kind on a clock of its own, processes that end with
their test, and running the core's own tests."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import treering
from treering import testing

sys.path.insert(0, str(Path(__file__).parent / "processes"))
from others import Other, Start

ROOT = Path(__file__).resolve().parents[1]
PANIC = re.compile(r"^thread '.*' .*panicked at .*\n.*", re.MULTILINE)

pytest_plugins = ["pytester"]

# No deadline: two busy cores make any time limit a coin toss. In CI the search is the same on every run.
settings.register_profile("treering", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("treering-ci", parent=settings.get_profile("treering"), derandomize=True, print_blob=True)
settings.load_profile("treering-ci" if os.environ.get("CI") else "treering")

# What a shell starts in the background hears no interrupt, and those who wait for one in a test would wait for good.
for name in ("SIGINT", "SIGQUIT"):
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(scope="session")
def in_memory() -> dict[str, str]:
    """Puts temporary files into memory, where the system has room: for tests whose disk is made up, or which only
    damage files and look. ext4 looks long for the place of a new file where thousands were just removed."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30
    return {"TMPDIR": str(memory)} if roomy else {}


@pytest.fixture
def clock() -> testing.Clock:
    """Stands until a test moves it."""
    return testing.Clock()


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, clock: testing.Clock, tmp_path: Path) -> Iterator[treering.Store]:
    opened = testing.memory(clock=clock) if request.param == "memory" else testing.open(tmp_path / "state", clock=clock)
    with opened:
        yield opened


@pytest.fixture
def alice(store: treering.Store) -> treering.Scope:
    return store.scope("alice")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts other processes; those that are left are killed at the end."""
    others: list[Other] = []

    def start_one(code: str, path: Path, *more: str) -> Other:
        others.append(Other(code, path, *more))
        return others[-1]

    yield start_one
    for other in others:
        if other.process.poll() is None:
            other.kill()
        for pipe in (other.process.stdin, other.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


@pytest.fixture
def cargo_test() -> Callable[..., str]:
    """Runs `cargo test` with these arguments and variables, and returns what it printed."""

    def run(*arguments: str, **environment: str) -> str:
        done = subprocess.run(
            ["cargo", "test", "--locked", "--quiet", *arguments],
            cwd=ROOT,
            env=os.environ | {"RUST_BACKTRACE": "0"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        # One of several processes that panics takes others with it: the first is the cause.
        panics = "\n".join(PANIC.findall(done.stderr + done.stdout))
        assert done.returncode == 0, f"{panics}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    return run
