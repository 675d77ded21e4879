"""A scope with something of everything, and all that it shows."""

from typing import Any

from treering import Commit, Scope, SourceEvent
from treering.messages import Message, UserConfig


def counted(view: dict[str, int], event: SourceEvent, commit: Commit) -> dict[str, int]:
    return {**view, event.source.kind: view.get(event.source.kind, 0) + 1}


def fill(scope: Scope, chats: int = 3) -> None:
    """Something of everything: each kind of ref that there is."""
    scope.user_config.save(UserConfig(default_model="large"))
    for nth in range(20):  # more than a snapshot's worth
        scope.memory.add("preference", f"fact {nth}")
    scope.agents.add("coder", "agent-1")
    scope.participants.add("room", "agent-1")
    for nth in range(chats):
        scope.chats.append(f"chat-{nth}", [Message(role="user", content=f"hello {nth}")])
    scope.workflows.upload("w", "nightly", "steps: []")
    scope.scripts.upload("s", "print()")
    thread = scope.threads.start("review", prompt="Is it right?", key="ticket-812")
    thread.append("coder", "yes", artifacts={"fix.diff": b"+ x" * 5_000})
    thread.fork(at=0).append("coder", "no")
    scope.threads.start("failed").fail("it broke")
    scope.pins.add("kept", scope.blocks.put(b"kept"))
    scope.projection("kinds", kinds=["user-memory", "chat"], start={}).catch_up(counted)


def shown(scope: Scope) -> dict[str, Any]:
    """All that a scope shows."""
    threads = sorted(scope.threads.list(), key=lambda thread: thread.id)
    return {
        "config": scope.user_config.get(),
        "memory": list(scope.memory.get()),
        "agents": list(scope.agents.list()),
        "participants": list(scope.participants.list("room")),
        "index": list(scope.chats.index()),
        "messages": {row.id: list(scope.chats.messages(row.id)) for row in scope.chats.index()},
        "workflows": list(scope.workflows.list()),
        "scripts": list(scope.scripts.list()),
        "threads": [(thread.id, thread.key, thread.status, [step.cid for step in thread]) for thread in threads],
        "pins": scope.pins.list(),
        "kinds": scope.projection("kinds", start={}).get().value,
        # What no commit here did is told by its time, and that is the same for all of a commit.
        "history": sorted(
            (event.at_ms, event.kind, event.parts, event.version, event.event.event_id if event.event else "")
            for event in scope.history()
            if event.change in ("event", "deleted")
        ),
    }
