"""Several changes in one commit: all of them, or none."""

from typing import Any

from expected import Done, Expected, Handle, right
from hypothesis import strategies as st
from hypothesis.stateful import rule
from player import Answer

from machine.blocks import Blocks
from machine.drawn import CONTENTS, KEYS, PICK, PLAYER, ROLES, SCOPE, SCOPES


class Committing(Blocks):
    """The rule of `scope.commit`."""

    @rule(
        player=PLAYER,
        scope=SCOPE,
        picks=st.lists(st.tuples(PICK, ROLES, CONTENTS, st.booleans()), max_size=3),
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
        parts: list[tuple[Any, ...]] = [("put", data), ("put_node", [data])]
        touched: dict[str, Handle] = {}
        adds: dict[str, list[tuple[str, Any]]] = {}
        for pick, role, content, twice in picks if mine else []:
            handle = mine[pick % len(mine)]
            # One draft a thread: the first handle that is named stands for it.
            handle = touched.setdefault(handle.thread.id, handle)
            steps = [(role, content), (role, "and once more")] if twice else [(role, content)]
            parts.append(("extend", handle.h, steps) if twice else ("append", handle.h, role, content))
            adds.setdefault(handle.thread.id, []).extend(steps)
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
        errors = self.errors_of(touched)
        errors["already-exists"] = start and self.has_key(name, key) is not None
        if not right(answer, errors):
            return
        self.committed(answer, player, made, touched, adds)
        if last is not None and end:
            last.thread.state, last.thread.over_at_ms = "completed", self.now_ms
        for handle in touched.values():
            handle.thread.moved()
        for cid, stored in zip(answer.value["puts"], (data, None), strict=True):
            self.keep(name, cid, stored)
        involved = [*(handle.thread for handle in touched.values()), *(thread for _, thread in made)]
        known = {h.h: h.thread for h in touched.values()}
        self.done.append(Done("commit", name, involved, command, [parts, known], answer.value))

    @staticmethod
    def errors_of(touched: dict[str, Handle]) -> dict[str, bool]:
        threads = [handle.thread for handle in touched.values()]
        return {
            "not-found": any(thread.removed for thread in threads),
            "head-moved": any(handle.seen != len(handle.thread.steps) for handle in touched.values()),
            "wrong-status": any(thread.over for thread in threads),
            "lease-lost": any(thread.removed for thread in threads),
        }

    def committed(
        self,
        answer: Answer,
        player: int,
        made: list[tuple[int, Expected]],
        touched: dict[str, Handle],
        adds: dict[str, list[tuple[str, Any]]],
    ) -> None:
        """The new threads, and the steps of those that there were."""
        assert not answer.value["replayed"]
        assert len(answer.value["made"]) == len(made)
        for new, thread in made:
            thread.id, seen = answer.value["made"][new]
            thread.origin = thread.origin or thread.id
            assert seen == len(thread.steps)
            self.hold(player, new, self.add(thread), seen)
        for handle in touched.values():
            thread = handle.thread
            thread.steps = thread.steps + adds[thread.id]
            thread.state, thread.error = "idle", None
            handle.seen = self.look(handle, at_least=handle.seen)
