"""Random sequences of calls, against a model that is a dict of lists; the store must never differ from it."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import treering
from treering import Store, Thread

ROLES = st.sampled_from(["planner", "coder", "reviewer"])
CONTENTS = st.one_of(st.text(max_size=8), st.binary(max_size=8), st.lists(st.integers(0, 9), max_size=3))
PICK = st.integers(0, 1_000)


@dataclass
class Expected:
    """A thread as it must be."""

    steps: list[tuple[str, object]] = field(default_factory=list)
    status: str = "idle"

    @property
    def over(self) -> bool:
        return self.status in ("completed", "cancelled")


@dataclass
class Handle:
    """A handle, and the number of steps that it has last seen."""

    thread: Thread
    seen: int


class Model(RuleBasedStateMachine):
    """Starts, appends, forks, ends and removes threads through handles of any age, and reopens the store."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="treering-model-"))
        self.store: Store = treering.memory()
        self.expected: dict[str, Expected] = {}
        self.removed: dict[str, Expected] = {}
        self.handles: list[Handle] = []
        self.commands = 0
        self.done: dict[str, list[int]] = {}

    @initialize(in_memory=st.booleans())
    def open(self, in_memory: bool) -> None:
        self.in_memory = in_memory
        if not in_memory:
            self.store = treering.open(self.home / "state", durability="relaxed")
        self.start("x")

    def teardown(self) -> None:
        assert self.store.verify().ok
        self.store.close()
        shutil.rmtree(self.home)

    def pick(self, number: int) -> tuple[Handle, Expected | None]:
        handle = self.handles[number % len(self.handles)]
        return handle, self.expected.get(handle.thread.id)

    def hold(self, thread: Thread) -> None:
        self.handles.append(Handle(thread, len(self.expected[thread.id].steps)))

    @rule(prompt=st.text(max_size=5))
    def start(self, prompt: str) -> None:
        thread = self.store.threads.start("w", prompt=prompt)
        self.expected[thread.id] = Expected()
        self.hold(thread)

    @rule(number=PICK, role=ROLES, content=CONTENTS, repeat=st.booleans())
    def append(self, number: int, role: str, content: object, repeat: bool) -> None:
        handle, expected = self.pick(number)
        self.commands += 1
        for _ in range(2 if repeat else 1):
            self.write(handle, expected, [(role, content)], f"c{self.commands}")

    @rule(number=PICK, steps=st.lists(st.tuples(ROLES, CONTENTS), min_size=1, max_size=4))
    def extend(self, number: int, steps: list[tuple[str, object]]) -> None:
        handle, expected = self.pick(number)
        self.commands += 1
        self.write(handle, expected, steps, f"c{self.commands}")

    def write(self, handle: Handle, expected: Expected | None, steps: list[tuple[str, object]], command: str) -> None:
        repeated = expected is not None and command in self.done
        try:
            if len(steps) == 1:
                written = [handle.thread.append(*steps[0], command_id=command)]
            else:
                written = handle.thread.extend(steps, command_id=command)
        except treering.NotFound:
            assert expected is None
            return
        except treering.HeadMoved:
            assert expected is not None
            assert handle.seen != len(expected.steps)
            return
        except treering.WrongStatus:
            # Said from what the handle has seen, also of a thread that was removed since.
            assert (expected or self.removed[handle.thread.id]).over
            return
        assert expected is not None
        if repeated:
            assert [step.number for step in written] == self.done[command]
            return
        assert handle.seen == len(expected.steps)
        assert not expected.over
        expected.steps += steps
        expected.status = "idle"
        handle.seen = len(expected.steps)
        self.done[command] = [step.number for step in written]

    @rule(number=PICK, at=PICK)
    def fork(self, number: int, at: int) -> None:
        handle, expected = self.pick(number)
        # A handle forks what it has seen; the steps of a removed thread are there until they are collected.
        at %= handle.seen + 1
        fork = handle.thread.fork(at=at)
        expected = expected or self.removed[handle.thread.id]
        self.expected[fork.id] = Expected(expected.steps[:at])
        self.hold(fork)
        common = handle.thread.common_ancestor(fork)
        assert common is not None
        assert common.number == at

    @rule(number=PICK)
    def cancel(self, number: int) -> None:
        handle, expected = self.pick(number)
        try:
            handle.thread.cancel("enough")
        except treering.NotFound:
            assert expected is None
        except treering.WrongStatus:
            assert (expected or self.removed[handle.thread.id]).over
        else:
            assert expected is not None
            expected.status = "cancelled"

    @rule(number=PICK)
    def refresh(self, number: int) -> None:
        handle, expected = self.pick(number)
        if expected is None:
            with pytest.raises(treering.NotFound):
                handle.thread.refresh()
        else:
            handle.thread.refresh()
            handle.seen = len(expected.steps)
            assert handle.thread.status == expected.status

    @rule(number=PICK)
    def another_handle(self, number: int) -> None:
        handle, expected = self.pick(number)
        if expected is not None:
            self.hold(self.store.threads.get(handle.thread.id))

    @rule(number=PICK)
    def rm(self, number: int) -> None:
        handle, expected = self.pick(number)
        if len(self.expected) > 1 and expected is not None:
            handle.thread.rm()
            self.removed[handle.thread.id] = self.expected.pop(handle.thread.id)

    @rule()
    def reopen(self) -> None:
        if not self.in_memory:
            self.store.close()
            self.store = treering.open(self.home / "state", durability="relaxed")
            self.handles = []
            for thread_id in self.expected:
                self.hold(self.store.threads.get(thread_id))

    @invariant()
    def the_store_is_the_model(self) -> None:
        listed = {thread.id: thread for thread in self.store.threads.list()}
        assert listed.keys() == self.expected.keys()
        for thread_id, expected in self.expected.items():
            thread = listed[thread_id]
            assert thread.status == expected.status
            assert [(step.role, step.content) for step in thread] == expected.steps


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
