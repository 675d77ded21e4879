"""Imports of whole scopes on a disk that loses power; random scopes; a file that is larger than what may be held."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_archives import Add, Purse, count
from whole import shown

import treering
from treering import Scope, Store, testing
from treering.messages import Message


@pytest.mark.long
def test_at_every_power_failure_nothing_or_all_of_it_is_there(tmp_path: Path, in_memory: dict[str, str]) -> None:
    with treering.memory() as origin:
        alice = origin.scope("alice")
        alice.memory.add("preference", "tea", command_id="m")
        alice.chats.append("c", [Message(role="user", content="hello")])
        alice.own(Purse, "p").send(Add(1))
        alice.files.put("large.bin", bytes(400_000))
        alice.threads.start("w", key="k").append("coder", "yes")
        alice.projection("events", kinds=["chat"], start=0).catch_up(count)
        alice.export(tmp_path / "a.car")

    def life(store: Store, mark: object) -> None:
        store.scope("alice").import_car(tmp_path / "a.car")
        assert callable(mark)
        mark("imported")

    seen = {True: 0, False: 0}
    for cut in testing.power_cuts(life, losses=("all", "nothing", "torn")):
        with testing.open(cut.path) as store:
            there = store.scopes() == ["alice"]
            assert there or (store.scopes() == [] and not cut.marks)
            seen[there] += 1
            did = store.scope("alice").import_car(tmp_path / "a.car")
            assert did.changed is not there
            scope = store.scope("alice")
            assert scope.verify()
            assert store.verify().ok
            assert scope.memory.add("preference", "tea", command_id="m").replayed
            out = io.BytesIO()
            scope.export(out)
            assert out.getvalue() == (tmp_path / "a.car").read_bytes()
    assert min(seen.values()) > 3


VERBS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "remember",
                "forget",
                "say",
                "drop",
                "send",
                "start",
                "append",
                "fork",
                "fail",
                "file",
                "pin",
                "trim",
                "view",
            ]
        ),
        st.integers(0, 3),
    ),
    max_size=30,
)


def do(scope: Scope, verb: str, n: int) -> None:
    """One change, where there is something to change."""
    threads = [scope.threads.get(info.id) for info in sorted(scope.threads.list(), key=lambda info: info.id)]
    thread = threads[n % len(threads)] if threads else scope.threads.start("w", key="first")
    match verb:
        case "remember":
            scope.memory.add("context", f"fact {n}")
        case "forget":
            scope.memory.clear()
        case "say":
            scope.chats.append(f"c{n}", [Message(role="user", content="hello")])
        case "drop":
            scope.chats.delete(f"c{n}")
        case "send":
            scope.own(Purse, str(n)).send(Add(n))
        case "start":
            scope.threads.start("w")
        case "append" if thread.status in ("idle", "failed"):
            thread.append("coder", f"step {n}")
        case "fork":
            thread.fork(at=0)
        case "fail" if thread.status == "idle":
            thread.fail("it broke")
        case "file":
            scope.files.put(f"f{n}.txt", b"x" * (50_000 * n + 1))
        case "pin":
            scope.pins.add(f"p{n}", thread.head)
        case "trim":
            scope.trim(keep=n)
        case "view":
            scope.projection("view", kinds=["chat"], start=0).catch_up(count, trimmed=lambda view, gap, commit: view)
        case _:
            pass


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=VERBS, after=VERBS)
def test_any_scope_travels_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("travel")
    with treering.memory() as store, treering.memory() as other:
        alice, there = store.scope("alice"), other.scope("alice")
        for verb, n in before:
            do(alice, verb, n)
        made = alice.export(folder / "1.car")
        there.import_car(folder / "1.car")
        assert shown(there) == shown(alice)
        assert there.export(folder / "same.car").root == made.root
        assert not there.import_car(folder / "1.car").changed
        # In one store they can be compared.
        store.scope("bob").import_car(folder / "1.car")
        assert not alice.diff(store.scope("bob"))
        # What only the origin went on with comes after.
        for verb, n in after:
            do(alice, verb, n)
        try:
            alice.export(folder / "2.car")
            there.import_car(folder / "2.car")
        except (treering.Diverged, treering.AlreadyExists):
            # A pin that moved, a log that was cut off: nothing of it came.
            assert {verb for verb, _ in after} & {"pin", "drop", "forget", "trim"}
            assert there.export(folder / "still.car").root == made.root
        else:
            assert shown(there) == shown(alice)
        for one in (store, other):
            assert one.verify().ok
        assert there.verify()


LARGE = """
import resource, sys, treering
folder, size = sys.argv[1], 200 << 20

class Zeros:
    left = size
    def read(self, wanted):
        wanted = min(wanted, self.left)
        self.left -= wanted
        return bytes(wanted)

settings = treering.Settings(file_bytes=size)
with treering.open(folder + "/a", settings=settings) as store:
    store.scope("alice").files.put("large.bin", Zeros())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with treering.open(folder + "/a") as store:
    store.scope("alice").export(folder + "/a.car")
with treering.open(folder + "/b") as store:
    store.scope("alice").import_car(folder + "/a.car")
    assert store.scope("alice").files.stat("large.bin").size == size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.long
def test_a_large_file_is_never_held(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(done.stdout) < 64 << 10  # KiB
