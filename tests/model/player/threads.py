"""Threads: starting, reading, growing, leasing them, and several changes in one commit."""

from typing import Any

import treering
from player.answer import told
from player.core import Core


class Threads(Core):
    """Verbs on threads and handles."""

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

    # Writing.

    def append(self, h: int, role: str, content: Any, artifacts: dict[str, bytes], command: str | None) -> Any:
        return told(self.threads[h].append(role, content, artifacts=artifacts, command_id=command))

    def insist(self, h: int, number: int) -> Any:
        """Appends behind an earlier step than the newest that the handle has seen."""
        thread = self.threads[h]
        head = thread.at(number).cid if number else thread.start.cid
        return told(thread.append("coder", "behind the times", expected_head=head))

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

    def commit(self, scope: str, parts: list[tuple[Any, ...]], command: str | None) -> dict[str, Any]:
        """Parts: (append, h, role, content), (extend, h, steps), (finish, h), (fork, h, new, at), (start, new, kwargs),
        (put, data), (put_node, value)."""
        drafts: dict[int, Any] = {}
        puts = []
        with self.store.scope(scope).commit(command_id=command) as c:
            for verb, *args in parts:
                if verb == "append":
                    c.threads[self.threads[args[0]]].append(args[1], args[2])
                elif verb == "extend":
                    c.threads[self.threads[args[0]]].extend(args[1])
                elif verb == "finish":
                    c.threads[self.threads[args[0]]].finish(0, "over")
                elif verb == "fork":
                    drafts[args[1]] = c.threads[self.threads[args[0]]].fork(at=args[2])
                elif verb == "start":
                    drafts[args[0]] = c.threads.start("w", **args[1])
                else:
                    puts.append(getattr(c, verb)(args[0]))
        made = {new: self.kept(new, draft.thread) for new, draft in drafts.items()}
        return {"replayed": c.receipt.replayed, "made": made, "puts": puts}

    # Reading.

    def at(self, h: int, number: int) -> Any:
        return told(self.threads[h].at(number))

    def steps(self, h: int, first: int, last: int | None, reverse: bool) -> list[Any]:
        return [told(step) for step in self.threads[h].steps(first, last, reverse=reverse)]

    def two(self, h: int, other: int) -> tuple[int | None, list[Any], list[Any], bool]:
        """The number of the last common step, what each has after it, and whether the one goes into the other."""
        one, two = self.threads[h], self.threads[other]
        found = one.diff(two)
        common = None if found.common is None else found.common.number
        return common, [told(s) for s in found.left], [told(s) for s in found.right], one.is_ancestor_of(two)

    def labelled(self, scope: str, labels: dict[str, Any]) -> list[str]:
        return [thread.id for thread in self.store.scope(scope).threads.list(labels=labels)]

    def history(self, scope: str, day: str | None) -> list[str]:
        return [thread.id for thread in self.store.scope(scope).threads.history(day)]

    # Leasing.

    def lease(self, h: int) -> int | None:
        lease = self.threads[h].lease("player")
        lease.__enter__()
        self.leases[h] = lease
        token: int | None = lease.token
        return token
