"""Random sequences of all verbs, on three handles in two processes, against a model that is dicts and lists.

The store must never differ from the model: an answer is right only if nothing in the model forbids it, an error only if
what it says is so. Embedded: two players in this process and one in a child, which is killed now and then; in memory:
three players on the one store that there is. After a garbage collection exactly what is reachable is left.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import treering
from treering import testing

sys.path.insert(0, str(Path(__file__).parent))

from expected import Done, Expected, Handle, has_labels, ok, right
from player import Answer, Child, Player

SCOPES = ("main", "alice")
HOUR_MS = 3_600_000
ROLES = st.sampled_from(["planner", "coder", "reviewer"])
CONTENTS = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(0, 9), max_size=3),
    st.just("long " * 2000),
)
STEPS = st.lists(st.tuples(ROLES, CONTENTS), max_size=4)
ARTIFACTS = st.dictionaries(st.sampled_from(["a.txt", "b"]), st.binary(max_size=5), max_size=2)
KEYS = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3"]))
LABELS = st.dictionaries(st.sampled_from(["team", "size"]), st.sampled_from(["a", 1, True, None]), max_size=2)
PICK = st.integers(0, 1_000)
# What ends a thread ends most of what can be done with it.
SELDOM = st.sampled_from([True, False, False, False])
COLLECTS = hasattr(treering.Store, "gc")


class Machine(RuleBasedStateMachine):
    """All verbs; what is embedded and what is in memory differ in `players`."""

    in_memory: bool

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="treering-model-"))
        self.threads: dict[str, Expected] = {}
        self.handles: list[Handle] = []
        self.pins: dict[tuple[str, str], Any] = {}
        self.held: dict[Any, bytes | None] = {}
        self.holds: dict[tuple[str, Any], int] = {}
        self.now_ms = testing.Clock().now_ms
        self.backups = 0
        self.backed_up: dict[str, Any] | None = None
        self.followed: dict[int, int] = {}
        self.done: list[Done] = []
        self.numbers = 0
        self.rounds = 0
        self.players: list[Any] = self.all_players()
        self.start(0, 0, None, {}, "p", [])

    def all_players(self) -> list[Any]:
        clock = testing.Clock()
        if self.in_memory:
            store = testing.memory(clock=clock)
            return [Player(store, clock) for _ in range(3)]
        players: list[Any] = [Player(clock=clock), Player(clock=clock), child()]
        for player in players:
            ok(player.call("begin", self.now_ms))
            ok(player.call("open", str(self.home / "state")))
        return players

    def teardown(self) -> None:
        for number in range(3):
            self.compare(number)
        assert ok(self.call(2, "verify")) == []
        self.check_held()
        for player in self.players:
            player.call("close")
        if self.in_memory:
            self.players[0].store.close()
        shutil.rmtree(self.home)

    # Picking and asking.

    def call(self, player: int, verb: str, *args: Any) -> Answer:
        answer: Answer = self.players[player].call(verb, *args)
        return answer

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def command(self) -> str:
        return f"c{self.number()}"

    def pick(self, pick: int) -> Handle:
        return self.handles[pick % len(self.handles)]

    def there(self) -> list[Expected]:
        return [thread for thread in self.threads.values() if not thread.removed]

    def has_key(self, scope: str, key: str | None) -> Expected | None:
        return next((t for t in self.there() if t.scope == scope and t.key == key and key is not None), None)

    def hold(self, player: int, h: int, thread: Expected, seen: int) -> Handle:
        handle = Handle(player, h, thread, seen)
        self.handles.append(handle)
        return handle

    def add(self, thread: Expected) -> Expected:
        assert thread.id not in self.threads
        self.threads[thread.id] = thread
        return thread

    # Starting, getting, forking.

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), key=KEYS, labels=LABELS, prompt=CONTENTS, steps=STEPS)
    def start(self, player: int, scope: int, key: str | None, labels: Any, prompt: Any, steps: Any) -> None:
        name, command = SCOPES[scope], self.command()
        kwargs = {"key": key, "labels": labels, "prompt": prompt, "steps": steps, "command_id": command}
        h = self.number()
        answer = self.call(player, "start", h, name, kwargs)
        if not right(answer, {"already-exists": self.has_key(name, key) is not None}):
            return
        thread = self.add(Expected(answer.value[0], name, key, prompt, labels, list(steps)))
        assert answer.value[1] == len(steps)
        self.hold(player, h, thread, len(steps))
        self.done.append(Done("start", name, [thread], command, [kwargs], answer.value))

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), key=st.sampled_from(["k1", "k2", "k3"]), prompt=CONTENTS)
    def get_or_start(self, player: int, scope: int, key: str, prompt: Any) -> None:
        name, h = SCOPES[scope], self.number()
        found = self.has_key(name, key)
        thread_id, seen = ok(self.call(player, "get_or_start", h, name, {"key": key, "prompt": prompt}))
        if found is None:
            found = self.add(Expected(thread_id, name, key, prompt))
        assert (thread_id, seen) == (found.id, len(found.steps))
        self.hold(player, h, found, seen)

    @rule(player=st.integers(0, 2), pick=PICK, by_key=st.booleans())
    def another_handle(self, player: int, pick: int, by_key: bool) -> None:
        thread, h = self.pick(pick).thread, self.number()
        name = thread.key if by_key and thread.key is not None else thread.id
        now = self.has_key(thread.scope, thread.key) if name == thread.key else None if thread.removed else thread
        answer = self.call(player, "get", h, thread.scope, name)
        if right(answer, {"not-found": now is None}):
            assert now is not None
            assert answer.value == (now.id, len(now.steps))
            self.hold(player, h, now, len(now.steps))

    @rule(pick=PICK, at=PICK, form=st.integers(0, 3), role=ROLES, occurrence=st.integers(1, 3), key=KEYS)
    def fork(self, pick: int, at: int, form: int, role: str, occurrence: int, key: str | None) -> None:
        handle, new = self.pick(pick), self.number()
        source = handle.thread
        seen = source.steps[: handle.seen]
        places = [n for n, step in enumerate(seen, 1) if step[0] == role]
        missing = invalid = False
        command = self.command()
        kwargs: dict[str, Any] = {"key": key, "command_id": command}
        if form == 0:
            # `__end__` is never kept.
            to: int | None = len(seen) - (1 if seen and seen[-1][0] == "__end__" else 0)
        elif form == 1:
            kwargs["at"] = to = at % (len(seen) + 2)
            missing = to > len(seen)
            invalid = to == len(seen) > 0 and seen[-1][0] == "__end__"
        else:
            kwargs |= {"before": role, "occurrence": occurrence if form == 3 else ("first", "last")[at % 2]}
            missing = not places
            invalid = form == 3 and bool(places) and occurrence > len(places)
            place = occurrence if form == 3 else 1 if at % 2 == 0 else len(places)
            to = places[place - 1] - 1 if places and place <= len(places) else None
        answer = self.call(handle.player, "fork", handle.h, new, kwargs)
        gone = source.removed and COLLECTS  # its steps may have been collected
        errors = {
            "not-found": missing or gone,
            "corrupt": gone,
            "invalid": invalid,
            "already-exists": self.has_key(source.scope, key) is not None,
        }
        if not right(answer, errors, may=frozenset({"not-found", "corrupt"} if gone and not missing else ())):
            return
        assert to is not None
        thread_id, steps, common = answer.value
        assert steps == to
        assert common == to or (gone and common is None)
        fork = self.add(source.fork(thread_id, key, to))
        self.hold(handle.player, new, fork, to)
        self.done.append(Done("fork", source.scope, [source, fork], command, [kwargs], answer.value))

    # Writing.

    def write(self, handle: Handle, verb: str, steps: list[tuple[str, Any]], *args: Any) -> Answer | None:
        """A write that follows what the handle has seen; None if it was refused, and rightly."""
        thread, command = handle.thread, self.command()
        answer = self.call(handle.player, verb, handle.h, *args, command)
        errors = {
            "not-found": thread.removed,
            "head-moved": handle.seen != len(thread.steps),
            "wrong-status": thread.over,
            "lease-lost": thread.removed,
        }
        if not right(answer, errors):
            return None
        first = len(thread.steps) + 1
        written = answer.value if verb == "extend" else [answer.value]
        expected = [(number, *step) for number, step in enumerate(steps, first)]
        assert [tuple(step) for step in written] == expected
        if verb != "fail":
            thread.steps += steps
            thread.error = None
            thread.state = "idle"
            handle.seen = len(thread.steps)
        self.done.append(Done(verb, thread.scope, [thread], command, list(args), answer.value))
        return answer

    @rule(pick=PICK, role=ROLES, content=CONTENTS, artifacts=ARTIFACTS)
    def append(self, pick: int, role: str, content: Any, artifacts: dict[str, bytes]) -> None:
        thread = self.pick(pick).thread
        if self.write(self.pick(pick), "append", [(role, content)], role, content, artifacts) and artifacts:
            thread.artifacts[len(thread.steps)] = artifacts

    @rule(pick=PICK, steps=STEPS.filter(bool))
    def extend(self, pick: int, steps: Any) -> None:
        self.write(self.pick(pick), "extend", steps, steps)

    @rule(pick=PICK, summary=CONTENTS)
    def compact(self, pick: int, summary: Any) -> None:
        handle = self.pick(pick)
        if self.write(handle, "compact", [("summary", summary)], summary) is not None:
            handle.thread.compacts.add(len(handle.thread.steps))

    @rule(pick=PICK, code=st.integers(-1, 2), summary=st.text(max_size=5), really=SELDOM)
    def finish(self, pick: int, code: int, summary: str, really: bool) -> None:
        handle = self.pick(pick)
        if not (really or handle.thread.over):
            return
        if self.write(handle, "finish", [("__end__", summary)], code, summary) is not None:
            handle.thread.state = "completed"

    @rule(pick=PICK, error=st.text(min_size=1, max_size=5))
    def fail(self, pick: int, error: str) -> None:
        handle = self.pick(pick)
        if self.write(handle, "fail", [("__failed__", error)], error) is not None:
            handle.thread.state, handle.thread.error = "failed", error

    @rule(pick=PICK, reason=st.text(min_size=1, max_size=5), really=SELDOM)
    def cancel(self, pick: int, reason: str, really: bool) -> None:
        handle = self.pick(pick)
        if not (really or handle.thread.over):
            return
        thread, command = handle.thread, self.command()
        answer = self.call(handle.player, "cancel", handle.h, reason, command)
        if right(answer, {"not-found": thread.removed, "wrong-status": thread.over}):
            thread.state, thread.error = "cancelled", reason
            self.done.append(Done("cancel", thread.scope, [thread], command, [reason], None))

    @rule(pick=PICK, force=st.booleans())
    def rm(self, pick: int, force: bool) -> None:
        handle = self.pick(pick)
        thread, command = handle.thread, self.command()
        if len(self.there()) <= 1:
            return
        answer = self.call(handle.player, "rm", handle.h, force, command)
        running = thread.whole()["status"] == "running"
        if right(answer, {"not-found": thread.removed, "wrong-status": running and not force}):
            thread.removed = True
            self.done.append(Done("rm", thread.scope, [thread], command, [force], None))

    @rule(
        player=st.integers(0, 2),
        scope=st.integers(0, 1),
        picks=st.lists(st.tuples(PICK, ROLES, CONTENTS), max_size=3),
        key=KEYS,
        end=st.booleans(),
        fork=st.booleans(),
        start=st.booleans(),
        data=st.binary(max_size=9),
    )
    def commit(
        self, player: int, scope: int, picks: Any, key: str | None, end: bool, fork: bool, start: bool, data: bytes
    ) -> None:
        name, command = SCOPES[scope], self.command()
        mine = [handle for handle in self.handles if handle.player == player and handle.thread.scope == name]
        parts: list[tuple[Any, ...]] = [("put", data)]
        touched: dict[str, Handle] = {}
        adds: dict[str, list[tuple[str, Any]]] = {}
        for pick, role, content in picks if mine else []:
            handle = mine[pick % len(mine)]
            # One draft a thread: the first handle that is named stands for it.
            handle = touched.setdefault(handle.thread.id, handle)
            parts.append(("append", handle.h, role, content))
            adds.setdefault(handle.thread.id, []).append((role, content))
        made: list[tuple[int, Expected]] = []
        last = next(reversed(touched.values()), None)
        if last is not None and end:
            parts.append(("finish", last.h))
            adds[last.thread.id].append(("__end__", "over"))
        elif last is not None and fork:
            new, at = self.number(), last.seen
            parts.append(("fork", last.h, new, at))
            made.append((new, last.thread.fork("", None, at)))
        if start:
            new = self.number()
            parts.append(("start", new, {"key": key, "prompt": data}))
            made.append((new, Expected("", name, key, data)))
        answer = self.call(player, "commit", name, parts, command)
        threads = [handle.thread for handle in touched.values()]
        errors = {
            "not-found": any(thread.removed for thread in threads),
            "head-moved": any(handle.seen != len(handle.thread.steps) for handle in touched.values()),
            "wrong-status": any(thread.over for thread in threads),
            "already-exists": start and self.has_key(name, key) is not None,
            "lease-lost": any(thread.removed for thread in threads),
        }
        if not right(answer, errors):
            return
        assert not answer.value["replayed"]
        assert len(answer.value["made"]) == len(made)
        for new, thread in made:
            thread.id, seen = answer.value["made"][new]
            assert seen == len(thread.steps)
            self.hold(player, new, self.add(thread), seen)
        for handle in touched.values():
            thread = handle.thread
            thread.steps += adds[thread.id]
            thread.state, thread.error = "idle", None
            handle.seen = self.look(handle, at_least=handle.seen)
        if last is not None and end:
            last.thread.state = "completed"
        self.keep(name, answer.value["puts"][0], data)
        involved = [*threads, *(thread for _, thread in made)]
        self.done.append(
            Done("commit", name, involved, command, [parts, {h.h: h.thread for h in touched.values()}], answer.value)
        )

    def look(self, handle: Handle, at_least: int) -> int:
        """What a handle has seen after a call that may have shown it more."""
        seen: int = ok(self.call(handle.player, "seen", handle.h))
        assert at_least <= seen <= len(handle.thread.steps)
        return seen

    # Again.

    @precondition(lambda self: self.done)
    @rule(pick=PICK, player=st.integers(0, 2), changed=st.booleans(), stale=st.booleans())
    def repeat(self, pick: int, player: int, changed: bool, stale: bool) -> None:
        """A command id again, from any player: the first answer and no commit; with another payload: refused."""
        done = self.done[pick % len(self.done)]
        if any(thread.removed for thread in done.threads):
            return
        handles: dict[str, Handle] = {}
        for thread in done.threads:
            mine = [handle for handle in self.handles if (handle.player, handle.thread.id) == (player, thread.id)]
            if stale and mine:
                handles[thread.id] = mine[pick % len(mine)]
            else:
                h = self.number()
                _, seen = ok(self.call(player, "get", h, thread.scope, thread.id))
                handles[thread.id] = self.hold(player, h, thread, seen)
        before = ok(self.call(0, "commits"))
        answer = self.again(done, player, handles, changed)
        assert ok(self.call(0, "commits")) == before
        for handle in handles.values():
            handle.seen = self.look(handle, at_least=handle.seen)
        if changed:
            assert answer.error == "command-mismatch", (done, answer)
        elif done.verb in ("start", "fork"):
            assert ok(answer)[0] == done.answer[0]
        elif done.verb == "commit":
            made = {new: thread_id for new, (thread_id, _) in ok(answer)["made"].items()}
            assert made == {new: thread_id for new, (thread_id, _) in done.answer["made"].items()}
            assert answer.value["replayed"]
            assert answer.value["puts"] == done.answer["puts"]
        elif answer.error is None:
            assert answer.value == done.answer
        else:
            # The node of a failure that another one replaced is garbage.
            assert (done.verb, answer.error) == ("fail", "not-found"), answer

    def again(self, done: Done, player: int, handles: dict[str, Handle], changed: bool) -> Answer:
        new = self.number()
        if done.verb == "start":
            kwargs = done.args[0] | ({"prompt": "changed"} if changed else {})
            return self.call(player, "start", new, done.scope, kwargs)
        if done.verb == "commit":
            parts, threads = done.args
            swapped = [
                (part[0], handles[threads[part[1]].id].h, *part[2:])
                if part[1] in threads and part[0] != "put"
                else part
                for part in parts
            ]
            extra = [("start", new, {"prompt": "changed"})] if changed else []
            return self.call(player, "commit", done.scope, swapped + extra, done.command)
        h = handles[done.threads[0].id].h
        if done.verb == "fork":
            kwargs = done.args[0] | ({"key": "changed"} if changed else {})
            return self.call(player, "fork", h, new, kwargs)
        args = list(done.args)
        if changed:
            match done.verb:
                case "extend":
                    args[-1] = [*args[-1], ("coder", "changed")]
                case "append":
                    args[-1] = {**args[-1], "new": b"changed"}
                case "rm":
                    args[-1] = not args[-1]
                case _:
                    args[-1] = "changed text"
        return self.call(player, done.verb, h, *args, done.command)

    # Knowing, leasing.

    @rule(pick=PICK)
    def refresh(self, pick: int) -> None:
        handle = self.pick(pick)
        answer = self.call(handle.player, "refresh", handle.h)
        if right(answer, {"not-found": handle.thread.removed}):
            assert answer.value == len(handle.thread.steps)
            handle.seen = answer.value

    @rule(pick=PICK, at=PICK)
    def at(self, pick: int, at: int) -> None:
        handle = self.pick(pick)
        number = at % (handle.seen + 2)
        if not handle.thread.removed:
            answer = self.call(handle.player, "at", handle.h, number)
            if right(answer, {"not-found": not 1 <= number <= handle.seen}):
                assert answer.value == (number, *handle.thread.steps[number - 1])

    @rule(pick=PICK, at=PICK)
    def insist(self, pick: int, at: int) -> None:
        """An expected head that is not the head: nothing is written."""
        handle = self.pick(pick)
        if handle.seen and not handle.thread.removed:
            answer = self.call(handle.player, "insist", handle.h, at % handle.seen)
            assert answer.error in ("head-moved", *(["wrong-status"] if handle.thread.over else [])), answer
            handle.seen = self.look(handle, at_least=handle.seen)

    @rule(pick=PICK, other=PICK)
    def two(self, pick: int, other: int) -> None:
        one = self.pick(pick)
        mine = [handle for handle in self.handles if handle.player == one.player]
        two = mine[other % len(mine)]
        if one.thread.removed or two.thread.removed:
            return
        found, left, right_, goes_in = ok(self.call(one.player, "two", one.h, two.h))
        left_steps, right_steps = one.thread.steps[: one.seen], two.thread.steps[: two.seen]
        least = self.shared(one.thread, two.thread)
        assert found is not None or least is None
        common = found or 0
        assert common >= min(least or 0, one.seen, two.seen)
        assert left_steps[:common] == right_steps[:common]
        assert [tuple(step[1:]) for step in left] == left_steps[common:]
        assert [tuple(step[1:]) for step in right_] == right_steps[common:]
        assert [step[0] for step in left] == list(range(common + 1, one.seen + 1))
        assert goes_in == (found == one.seen)

    def shared(self, one: Expected, two: Expected) -> int | None:
        """How many steps two threads have in common by descent; None for no common start."""
        if one is two:
            return len(one.steps)
        ways: list[dict[str, int]] = []
        for thread in (one, two):
            way, steps = {thread.id: len(thread.steps)}, len(thread.steps)
            while thread.forked_from is not None:
                parent, at = thread.forked_from
                steps = min(steps, at)
                way[parent] = steps
                thread = self.threads[parent]
            ways.append(way)
        both = [min(ways[0][name], ways[1][name]) for name in ways[0] if name in ways[1]]
        return max(both, default=None)

    @rule(pick=PICK)
    def lease(self, pick: int) -> None:
        handle = self.pick(pick)
        thread = handle.thread
        answer = self.call(handle.player, "lease", handle.h)
        if right(answer, {"lease-held": thread.leased_by is not None, "not-found": thread.removed}):
            assert answer.value > thread.token
            thread.leased_by, thread.token = (handle.player, handle.h), answer.value

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        leased = [thread for thread in self.threads.values() if thread.leased_by is not None]
        if leased:
            thread = leased[pick % len(leased)]
            assert thread.leased_by is not None
            player, h = thread.leased_by
            ok(self.call(player, "release", h))
            thread.leased_by = None

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), labels=LABELS)
    def labelled(self, player: int, scope: int, labels: dict[str, Any]) -> None:
        found = ok(self.call(player, "labelled", SCOPES[scope], labels))
        wanted = [t.id for t in self.there() if t.scope == SCOPES[scope] and has_labels(t, labels)]
        assert sorted(found) == sorted(wanted)

    # Blocks, pins, collecting.

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), data=st.binary(max_size=9), large=st.booleans())
    def put(self, player: int, scope: int, data: bytes, large: bool) -> None:
        # A large one is a file of its own.
        data = data * 40_000 if large else data
        self.keep(SCOPES[scope], ok(self.call(player, "put", SCOPES[scope], data)), data)

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), pick=PICK)
    def put_node(self, player: int, scope: int, pick: int) -> None:
        targets = [*self.held, *ok(self.call(player, "roots"))]
        value = {"see": targets[pick % len(targets)], "n": pick % 5}
        self.keep(SCOPES[scope], ok(self.call(player, "put_node", SCOPES[scope], value)), None)

    def keep(self, scope: str, cid: Any, data: bytes | None) -> None:
        """What was put is held for the scope, for a day."""
        self.held[cid] = data
        self.holds[scope, cid] = self.now_ms + 24 * HOUR_MS

    @precondition(lambda self: self.holds)
    @rule(player=st.integers(0, 2), pick=PICK)
    def unhold(self, player: int, pick: int) -> None:
        scope, cid = sorted(self.holds, key=str)[pick % len(self.holds)]
        ok(self.call(player, "unhold", scope, cid))
        del self.holds[scope, cid]
        self.let_go()

    def let_go(self) -> None:
        still = {cid for _, cid in self.holds}
        self.held = {cid: data for cid, data in self.held.items() if cid in still}

    @rule(hours=st.sampled_from([1, 13]))
    def time_passes(self, hours: int) -> None:
        """Holds end by themselves; leases are given back before."""
        while any(thread.leased_by is not None for thread in self.threads.values()):
            self.release(0)
        self.now_ms += hours * HOUR_MS
        for number in range(3):
            ok(self.call(number, "time", self.now_ms))
        self.holds = {hold: until for hold, until in self.holds.items() if until > self.now_ms}
        self.let_go()

    @precondition(lambda self: self.held)
    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), name=st.sampled_from("xyz"), pick=PICK)
    def pin(self, player: int, scope: int, name: str, pick: int) -> None:
        cid = list(self.held)[pick % len(self.held)]
        ok(self.call(player, "pin", SCOPES[scope], name, cid))
        self.pins[SCOPES[scope], name] = cid

    @rule(player=st.integers(0, 2), scope=st.integers(0, 1), name=st.sampled_from("xyz"))
    def unpin(self, player: int, scope: int, name: str) -> None:
        answer = self.call(player, "unpin", SCOPES[scope], name)
        if right(answer, {"not-found": (SCOPES[scope], name) not in self.pins}):
            del self.pins[SCOPES[scope], name]

    @precondition(lambda self: COLLECTS)
    @rule(player=st.integers(0, 2), dry_run=st.booleans())
    def collect(self, player: int, dry_run: bool) -> None:
        blocks = ok(self.call(player, "blocks"))
        ok(self.call(player, "gc", dry_run))
        left = ok(self.call((player + 1) % 3, "blocks"))
        if dry_run:
            assert left == blocks
            return
        present, missing = ok(self.call(player, "reachable", [*ok(self.call(player, "roots")), *self.held]))
        assert missing == []
        assert sorted(left) == sorted(present)

    # Keeping.

    @rule(player=st.integers(0, 2), keep=st.integers(1, 4))
    def seal(self, player: int, keep: int) -> None:
        commits = ok(self.call(player, "commits"))
        ok(self.call(player, "seal", keep))
        assert ok(self.call(player, "commits")) == commits

    @rule(player=st.integers(0, 2), really=SELDOM)
    def expire(self, player: int, really: bool) -> None:
        """What was is forgotten, what is stays; a backup from before it may have to begin anew."""
        if really:
            ok(self.call(player, "expire"))
            self.backups += 1
            self.backed_up = None

    @rule(player=st.integers(0, 2))
    def repair(self, player: int) -> None:
        assert ok(self.call(player, "repair")) == []

    @precondition(lambda self: not self.in_memory)
    @rule(player=st.integers(0, 2))
    def backup(self, player: int) -> None:
        self.backed_up = None
        assert without_leases(ok(self.call(player, "backup", str(self.backup_path())))) == self.all_there()
        self.backed_up = deepcopy(self.all_there())

    def backup_path(self) -> Path:
        return self.home / f"backup-{self.backups}"

    @precondition(lambda self: self.backed_up is not None)
    @rule(player=st.integers(0, 2))
    def restore(self, player: int) -> None:
        to = self.home / f"restored-{self.number()}"
        dump = ok(self.call(player, "restore", str(self.backup_path()), str(to)))
        assert without_leases(dump) == self.backed_up
        shutil.rmtree(to)

    @rule(player=st.integers(0, 2))
    def follow(self, player: int) -> None:
        """The journal alone tells where every ref stands, without a gap."""
        positions, told, there = ok(self.call(player, "follow"))
        assert told == there
        last = ok(self.call(player, "commits"))
        if positions:
            assert positions == list(range(self.followed[player] + 1, last + 1))
        self.followed[player] = last

    @rule(player=st.integers(0, 2), pick=PICK)
    def quarantine(self, player: int, pick: int) -> None:
        """Nothing is wrong with any ref, so none is taken away."""
        thread = self.pick(pick).thread
        answer = self.call(player, "quarantine", f"{thread.scope}/thread/{thread.id}")
        right(answer, {"not-found": thread.removed, "invalid": not thread.removed})

    @rule(player=st.integers(0, 2))
    def copy(self, player: int) -> None:
        assert without_leases(ok(self.call(player, "copy"))) == self.all_there()

    @rule(pick=PICK)
    def travel(self, pick: int) -> None:
        handle = self.pick(pick)
        if not handle.thread.removed:
            there = ok(self.call(handle.player, "travel", handle.h, str(self.home / f"{self.number()}.car")))
            assert without_lease(there) == without_lease(handle.thread.whole())

    def all_there(self) -> dict[str, Any]:
        threads = {thread.id: thread.whole() for thread in self.there()}
        return without_leases({"threads": threads, "pins": dict(self.pins)})

    # Coming and going.

    @rule(player=st.integers(0, 2))
    def reopen(self, player: int) -> None:
        ok(self.call(player, "close"))
        if not self.in_memory:
            ok(self.call(player, "open", str(self.home / "state")))
        self.forget(player)

    @precondition(lambda self: not self.in_memory)
    @rule()
    def kill(self) -> None:
        """Whatever was answered is there, and a lease of the dead is free."""
        self.players[2].kill()
        self.players[2] = child(anew=True)
        ok(self.call(2, "begin", self.now_ms))
        ok(self.call(2, "open", str(self.home / "state")))
        self.forget(2)

    def forget(self, player: int) -> None:
        self.handles = [handle for handle in self.handles if handle.player != player]
        for thread in self.threads.values():
            if thread.leased_by is not None and thread.leased_by[0] == player:
                thread.leased_by = None
        if not self.handles:
            thread, h = self.there()[0], self.number()
            _, seen = ok(self.call(player, "get", h, thread.scope, thread.id))
            self.hold(player, h, thread, seen)

    @invariant()
    def the_store_is_the_model(self) -> None:
        # By another player each time; all three at the end.
        self.rounds += 1
        self.compare(self.rounds % 3)

    def compare(self, player: int) -> None:
        dump = ok(self.call(player, "dump"))
        assert dump == {"threads": {thread.id: thread.whole() for thread in self.there()}, "pins": self.pins}

    def check_held(self) -> None:
        for cid, data in self.held.items():
            assert data is None or ok(self.call(1, "block", cid)) == data


def without_lease(thread: dict[str, Any]) -> dict[str, Any]:
    """A thread whose lease does not go where it goes."""
    return thread | {"status": "idle"} if thread["status"] == "running" else thread


def without_leases(dump: dict[str, Any]) -> dict[str, Any]:
    return dump | {"threads": {name: without_lease(thread) for name, thread in dump["threads"].items()}}


_children: list[Child] = []


def child(anew: bool = False) -> Child:
    """The child, kept from one sequence to the next; a new one where there is none or it was killed."""
    if anew or not _children:
        _children[:] = [Child()]
    return _children[0]


class Embedded(Machine):
    in_memory = False


class InMemory(Machine):
    in_memory = True


@pytest.fixture(scope="module", autouse=True)
def _no_child_is_left() -> Iterator[None]:
    yield
    for left in _children:
        left.kill()
    _children.clear()


def play(machine: type[Machine], examples: int, steps: int) -> None:
    found = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(machine, settings=found)


@pytest.mark.parametrize(("machine", "examples"), [(Embedded, 25), (InMemory, 40)])
def test_model(machine: type[Machine], examples: int) -> None:
    play(machine, examples, 30)


@pytest.mark.long
@pytest.mark.parametrize(("machine", "examples"), [(Embedded, 100), (InMemory, 200)])
def test_model_for_long(machine: type[Machine], examples: int) -> None:
    play(machine, examples, 60)
