"""Signals: Ctrl-C gets through every long wait and leaves the handle usable; SIGTERM and SIGSTOP lose nothing."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from others import HOLD_LOCK, Start

import treering
from treering import LockTimeout


def test_ctrl_c_while_another_process_holds_the_lock(tmp_path: Path, start: Start) -> None:
    code = """
        store = treering.open(sys.argv[1])
        thread = store.threads.start("w")
        say("ready")
        sys.stdin.readline()
        say("appending")
        try:
            thread.append("a", "x", command_id="c")
        except KeyboardInterrupt:
            say("interrupted", len(thread))
        say(thread.append("a", "x", command_id="c").number, len(store.threads.get(thread.id)))
        say(thread.append("a", "y").number)
    """
    other = start(code, tmp_path / "s")
    assert other.hear() == "ready"
    holder = start(HOLD_LOCK, tmp_path / "s")
    assert holder.hear() == "held"
    other.tell()
    assert other.hear() == "appending"
    time.sleep(0.5)
    other.send(signal.SIGINT)
    assert other.hear() == "interrupted 0"
    holder.tell()
    assert holder.join() == ["1"]
    # The interrupted one landed once; its command id says so.
    assert other.join() == ["1 1", "2"]


@dataclass(frozen=True)
class Add:
    n: int = 1


@dataclass(frozen=True)
class Sum:
    n: int = 0


class Tally(treering.Actor[Sum, Add, Add]):
    kind = "tally"

    def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> Add:
        return command

    def evolve(self, state: Sum, event: Add) -> Sum:
        return Sum(state.n + event.n)


def test_ctrl_c_in_every_other_call_that_waits_for_the_lock(tmp_path: Path, start: Start) -> None:
    """What they have begun is given back or gone on with, and holds nobody up."""
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        alice.memory.add("context", "x")
        alice.threads.start("w", key="k")
        alice.export(tmp_path / "a.car")
        alice.own(Tally, "x").send(Add(1))
        store.seal_journal(keep=1)
    code = """
        from datetime import datetime, UTC
        sys.path.insert(0, sys.argv[2])
        from test_signals import Add, Tally
        store = treering.open(sys.argv[1])
        alice = store.scope("alice")
        thread = alice.threads.get("k")
        archive = sys.argv[1] + "/../a.car"
        calls = {
            "lease": lambda: thread.lease("me").__enter__(),
            "fork": lambda: alice.fork("fork"),
            "import": lambda: store.scope("import").import_car(archive),
            "expire": lambda: store.expire_journal(datetime.now(UTC)),
            "give up": lambda: store.give_up_commit(1),
            "rebuild": lambda: alice.memory.rebuild(),
            "own rebuild": lambda: alice.own(Tally, "x").rebuild(),
            "close": lambda: store.close(),
        }
        say("ready")
        for name, call in calls.items():
            sys.stdin.readline()
            say(name)
            try:
                call()
            except KeyboardInterrupt:
                say("interrupted")
        sys.stdin.readline()
        with treering.open(sys.argv[1]) as store:
            alice = store.scope("alice")
            with alice.threads.get("k").lease("me"):
                if not store.scope("fork").threads.list():
                    alice.fork("fork")
                store.scope("import").import_car(archive)
                alice.memory.rebuild()
            say(*(len(store.scope(name).threads.list()) for name in ("fork", "import")))
            say(store.verify().ok)
    """
    other = start(code, tmp_path / "s", str(Path(__file__).parent))
    assert other.hear() == "ready"
    holder = start(HOLD_LOCK, tmp_path / "s")
    assert holder.hear() == "held"
    for _ in range(8):
        other.tell()
        name = other.hear()
        time.sleep(0.3)
        other.send(signal.SIGINT)
        assert other.hear() == "interrupted", name
    holder.tell()
    assert holder.join() == ["1"]
    other.tell()
    assert other.join() == ["1 1", "True"]


def test_ctrl_c_in_a_walk_over_a_long_thread(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s", durability="relaxed") as store:
        thread = store.threads.start("w", key="long")
        for _ in range(5):
            thread.extend([("a", "x")] * 2_000)
    code = """
        store = treering.open(sys.argv[1])
        thread = store.threads.get("long")
        say("walking")
        walked = 0
        try:
            while True:
                for step in thread:
                    walked += 1
        except KeyboardInterrupt:
            say("interrupted", walked > 0)
        say(sum(1 for step in thread), thread.append("a").number)
    """
    other = start(code, tmp_path / "s")
    assert other.hear() == "walking"
    time.sleep(0.3)
    other.send(signal.SIGINT)
    assert other.join() == ["interrupted True", "10000 10001"]


@pytest.mark.parametrize("handled", [False, True])
def test_sigterm_loses_nothing_that_was_acknowledged(tmp_path: Path, start: Start, handled: bool) -> None:
    code = """
        import signal
        if sys.argv[2] == "handled":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        store = treering.open(sys.argv[1])
        thread = store.threads.start("w", key="t")
        while True:
            say(thread.append("a", "x").number)
    """
    other = start(code, tmp_path / "s", "handled" if handled else "default")
    heard = int(other.hear())
    while heard < 20:
        heard = int(other.hear())
    other.send(signal.SIGTERM)
    # The last line may be cut short; a number cut short is one that was said before.
    last = max([heard, *map(int, other.join(3 if handled else -signal.SIGTERM))])
    with treering.open(tmp_path / "s") as store:
        assert len(store.threads.get("t")) in (last, last + 1)
        assert store.verify().ok


def test_a_stopped_holder_is_named_and_everything_goes_on(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s", lock_wait_s=0.3) as store:
        thread = store.threads.start("w")
        holder = start(HOLD_LOCK, tmp_path / "s")
        assert holder.hear() == "held"
        holder.send(signal.SIGSTOP)
        holder.tell()
        for _ in range(2):
            with pytest.raises(LockTimeout, match=f"process {holder.pid}") as refused:
                thread.append("a", "x")
            assert refused.value.waited_ms >= 300
        assert len(thread) == 0
        assert [listed.workflow for listed in store.threads.list()] != []
        holder.send(signal.SIGCONT)
        assert holder.join() == ["1"]
        assert thread.append("a", "x").number == 1
        assert store.verify().ok
