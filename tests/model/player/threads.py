"""One user of a store: does what it is told by name, and answers in plain data.

The same code plays in the process of the tests and in a child that is driven over a pipe (`python player.py`: pickled
calls on stdin, pickled answers on stdout). Handles live here, by numbers that the caller chooses.

Never: decides anything. Whether an answer is right is the model's to say.
"""

import pickle
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import treering
from treering import Thread, testing


class Answer(NamedTuple):
    """What came of a call: a value, or the kind and text of a treering error."""

    value: Any = None
    error: str | None = None
    text: str = ""


def told(step: treering.Step) -> tuple[int, str, Any]:
    return step.number, step.role, step.content


class Player:
    """Verbs by name; `h` is the number of a handle."""

    def __init__(self, store: treering.Store | None = None, clock: testing.Clock | None = None) -> None:
        self.shared = store
        self.store: treering.Store = store if store is not None else treering.memory()
        self.clock = clock if clock is not None else testing.Clock()
        self.threads: dict[int, Thread] = {}
        self.leases: dict[int, treering.Lease] = {}
        self.begin(self.clock.now_ms)

    def begin(self, now_ms: int) -> None:
        """Another store, at that time."""
        self.cursor: str | None = None
        self.versions: dict[str, int | None] = {}
        self.time(now_ms)

    def time(self, now_ms: int) -> None:
        self.clock.set(now_ms)

    def call(self, verb: str, *args: Any) -> Answer:
        try:
            return Answer(getattr(self, verb)(*args))
        except treering.TreeringError as error:
            return Answer(error=error.kind, text=str(error))

    def open(self, path: str) -> None:
        self.close()
        self.store = testing.open(path, durability="relaxed", clock=self.clock, automatic_gc=True)

    def close(self) -> None:
        for h in list(self.leases):
            self.release(h)
        self.threads.clear()
        if self.shared is None:
            self.store.close()

    def kept(self, h: int, thread: Thread) -> tuple[str, int]:
        self.threads[h] = thread
        return thread.id, len(thread)

    # Threads.

    def start(self, h: int, scope: str, kwargs: dict[str, Any]) -> tuple[str, int]:
        return self.kept(h, self.store.scope(scope).threads.start("w", **kwargs))

    def get_or_start(self, h: int, scope: str, kwargs: dict[str, Any]) -> tuple[str, int]:
        return self.kept(h, self.store.scope(scope).threads.get_or_start("w", **kwargs))

    def get(self, h: int, scope: str, id_or_key: str) -> tuple[str, int]:
        return self.kept(h, self.store.scope(scope).threads.get(id_or_key))

    def seen(self, h: int) -> int:
        return len(self.threads[h])

    def refresh(self, h: int) -> int:
        self.threads[h].refresh()
        return len(self.threads[h])

    def append(self, h: int, role: str, content: Any, artifacts: dict[str, bytes], command: str | None) -> Any:
        return told(self.threads[h].append(role, content, artifacts=artifacts, command_id=command))

    def extend(self, h: int, steps: list[tuple[str, Any]], command: str | None) -> Any:
        return [told(step) for step in self.threads[h].extend(steps, command_id=command)]

    def compact(self, h: int, summary: Any, command: str | None) -> Any:
        return told(self.threads[h].compact(summary, command_id=command))

    def finish(self, h: int, code: int, summary: str, command: str | None) -> Any:
        return told(self.threads[h].finish(code, summary, command_id=command))

    def fail(self, h: int, error: str, command: str | None) -> Any:
        return told(self.threads[h].fail(error, command_id=command))

    def cancel(self, h: int, reason: str, command: str | None) -> None:
        self.threads[h].cancel(reason, command_id=command)

    def fork(self, h: int, new: int, kwargs: dict[str, Any]) -> tuple[str, int, int | None]:
        fork = self.threads[h].fork(**kwargs)
        try:
            common = self.threads[h].common_ancestor(fork)
        except (treering.NotFound, treering.Corrupt):
            # Of a removed thread the place to fork at may be left and its head not.
            common = None
        return (*self.kept(new, fork), None if common is None else common.number)

    def rm(self, h: int, force: bool, command: str | None) -> None:
        self.threads[h].rm(force=force, command_id=command)

    def insist(self, h: int, number: int) -> Any:
        """Appends behind an earlier step than the newest that the handle has seen."""
        thread = self.threads[h]
        head = thread.at(number).cid if number else thread.start.cid
        return told(thread.append("coder", "behind the times", expected_head=head))

    def at(self, h: int, number: int) -> Any:
        return told(self.threads[h].at(number))

    def two(self, h: int, other: int) -> tuple[int | None, list[Any], list[Any], bool]:
        """The number of the last common step, what each has after it, and whether the one goes into the other."""
        one, two = self.threads[h], self.threads[other]
        found = one.diff(two)
        common = None if found.common is None else found.common.number
        return common, [told(s) for s in found.left], [told(s) for s in found.right], one.is_ancestor_of(two)

    def lease(self, h: int) -> int | None:
        lease = self.threads[h].lease("player")
        lease.__enter__()
        self.leases[h] = lease
        return lease.token

    def release(self, h: int) -> None:
        self.leases.pop(h).__exit__(None, None, None)

    # Blocks, pins, commits.

    def put(self, scope: str, data: bytes) -> treering.Cid:
        return self.store.scope(scope).blocks.put(data)

    def put_node(self, scope: str, value: Any) -> treering.Cid:
        return self.store.scope(scope).blocks.put_node(value)

    def unhold(self, scope: str, cid: treering.Cid) -> None:
        self.store.scope(scope).hold(cid).release()

    def pin(self, scope: str, name: str, cid: treering.Cid) -> None:
        self.store.scope(scope).pins.add(name, cid)

    def unpin(self, scope: str, name: str) -> None:
        self.store.scope(scope).pins.rm(name)

    def commit(self, scope: str, parts: list[tuple[Any, ...]], command: str | None) -> dict[str, Any]:
        """Parts: (append, h, role, content), (finish, h), (fork, h, new, at), (start, new, kwargs), (put, data)."""
        drafts: dict[int, treering.ThreadDraft] = {}
        puts = []
        with self.store.scope(scope).commit(command_id=command) as c:
            for verb, *args in parts:
                if verb == "append":
                    c.threads[self.threads[args[0]]].append(args[1], args[2])
                elif verb == "finish":
                    c.threads[self.threads[args[0]]].finish(0, "over")
                elif verb == "fork":
                    drafts[args[1]] = c.threads[self.threads[args[0]]].fork(at=args[2])
                elif verb == "start":
                    drafts[args[0]] = c.threads.start("w", **args[1])
                else:
                    puts.append(c.put(args[0]))
        made = {new: self.kept(new, draft.thread) for new, draft in drafts.items()}
        return {"replayed": c.receipt.replayed, "made": made, "puts": puts}

    # The whole.

    def dump(self) -> dict[str, Any]:
        """All that is in the store, as users see it."""
        scopes = [self.store.scope(name) for name in self.store.scopes()]
        return {
            "threads": {
                thread.id: self.whole(scope.name, thread) for scope in scopes for thread in scope.threads.list()
            },
            "pins": {(scope.name, name): cid for scope in scopes for name, cid in scope.pins.list().items()},
        }

    @staticmethod
    def whole(scope: str, thread: Thread) -> dict[str, Any]:
        return {
            "scope": scope,
            "key": thread.key,
            "status": thread.status,
            "labels": dict(thread.labels),
            "prompt": thread.prompt,
            "error": thread.error,
            "forked_from": thread.forked_from,
            "steps": [(step.role, step.content) for step in thread],
            "back": [step.number for step in reversed(thread)],
            "context": [step.number for step in thread.context().steps],
            "artifacts": {step.number: dict(step.artifacts) for step in thread if step.artifacts},
        }

    def labelled(self, scope: str, labels: dict[str, Any]) -> list[str]:
        return [thread.id for thread in self.store.scope(scope).threads.list(labels=labels)]

    def roots(self) -> list[treering.Cid]:
        """What refs keep: heads, failures, pins."""
        roots: list[treering.Cid] = []
        for name in self.store.scopes():
            scope = self.store.scope(name)
            roots += scope.pins.list().values()
            for thread in scope.threads.list():
                roots.append(thread.head)
                if (failure := thread.failure) is not None:
                    roots.append(failure.cid)
        return roots

    def blocks(self) -> list[treering.Cid]:
        return [block.cid for block in self.store.blocks.list()]

    def block(self, cid: treering.Cid) -> bytes:
        return self.store.blocks.get(cid)

    def reachable(self, roots: list[treering.Cid]) -> tuple[list[treering.Cid], list[treering.Cid]]:
        return tuple(self.store.reachable(roots))  # type: ignore[return-value]

    def gc(self, dry_run: bool) -> None:
        self.store.gc(dry_run=dry_run)  # type: ignore[attr-defined]

    def seal(self, keep: int) -> int:
        return self.store.seal_journal(keep).commits

    def expire(self) -> int:
        return self.store.expire_journal(self.store.cursor()).commits

    def repair(self) -> list[str]:
        """What was mended, and what is left: nothing, where nothing was broken."""
        report = self.store.verify(repair=True)
        return [str(found) for found in (*report.repairs, *report.findings)]

    def backup(self, path: str) -> dict[str, Any]:
        """All that is in the backup that was made or brought up to date, which is sound."""
        self.store.backup(path)
        with treering.open(path, read_only=True) as backup:
            assert backup.verify().ok
            return Player(backup).dump()

    def restore(self, path: str, to: str) -> dict[str, Any]:
        """All that is in a store that was made of a backup, which takes commits."""
        treering.restore(path, to)
        with treering.open(to) as restored:
            assert restored.verify().ok
            dump = Player(restored).dump()
            restored.put(b"it lives")
            return dump

    def copy(self) -> dict[str, Any]:
        """All that is in a copy."""
        with treering.memory() as copy:
            self.store.copy_to(copy)
            assert copy.verify().ok
            return Player(copy).dump()

    def travel(self, h: int, path: str) -> dict[str, Any]:
        """The thread, as it comes out of a CAR file in another store."""
        thread = self.threads[h]
        thread.export(path)
        with treering.memory() as elsewhere:
            scope = elsewhere.scope(thread.scope)
            (there,) = scope.import_car(path).threads
            assert elsewhere.verify().ok
            return self.whole(thread.scope, scope.threads.get(there))

    def follow(self) -> tuple[list[int], dict[str, int | None], dict[str, int | None]]:
        """The positions of the commits since it was asked last, the refs as they follow from them, and as they are."""
        there = {ref.name: ref.version for ref in self.store.refs.list()}
        try:
            news = list(self.store.journal(after=self.cursor)) if self.cursor is not None else []
        except treering.CursorExpired:
            self.cursor = None
        if self.cursor is None:
            self.cursor, self.versions = self.store.cursor(), dict(there)
            return [], self.versions, there
        for entry in news:
            for move in entry.moves:
                name = "/".join((move.scope, move.kind, *move.name))
                self.versions.pop(name, None)
                if move.target is not None:
                    self.versions[name] = move.version
        if news:
            with closing(iter(self.store.watch(after=self.cursor))) as watch:
                assert next(watch) == news[0]
            self.cursor = news[-1].cursor
        return [entry.position for entry in news], self.versions, there

    def quarantine(self, name: str) -> None:
        self.store.refs.quarantine(name)

    def commits(self) -> int:
        return self.store.stats()["commits"]

    def verify(self) -> list[str]:
        return [str(finding) for finding in self.store.verify().findings]


class Child:
    """A player in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, verb: str, *args: Any) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump((verb, args), self.process.stdin)
        self.process.stdin.flush()
        answer: Answer | BaseException = pickle.load(self.process.stdout)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def kill(self) -> None:
        """Ends the process where it stands: nothing is closed or given back."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def main() -> None:
    player = Player()
    answers = sys.stdout.buffer
    # A child that prints must not be taken for one that answers.
    sys.stdout = sys.stderr
    while True:
        try:
            verb, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Answer | BaseException = player.call(verb, *args)
        except Exception as error:  # the test that asked is to fail
            answer = error
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    # So that answers are pickled under the name that the test knows them by.
    sys.path.insert(0, str(Path(__file__).parent))
    import player as this

    this.main()
