"""A scope with something of everything, and all that it shows."""

from dataclasses import dataclass, field, replace
from typing import Any

from treering import Actor, ActorContext, Commit, Map, Scope, Secret, SourceEvent, Vector
from treering.messages import CliConnector, Connector, HttpConnector, Message, Role, UserConfig

SEARCH = Connector(
    name="search",
    type="http",
    http=HttpConnector(base_url="https://search.example", default_headers={"Authorization": Secret("env:TOKEN")}),
)
DRAFT = Connector(name="draft", type="cli", cli=CliConnector(command="ls"))
#: Of a media type of its own, and larger than what stands in a database row.
LARGE = b"a large file, " * 30_000


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Said:
    text: str


@dataclass(frozen=True)
class Talk:
    last: str = ""
    lines: Vector[str] = field(default_factory=Vector)
    times: Map[int] = field(default_factory=Map)


class Diary(Actor[Talk, Say, Said]):
    """An actor of an application, with shared collections."""

    kind = "diary"

    def decide(self, state: Talk, command: Say, context: ActorContext) -> Said:
        return Said(command.text)

    def evolve(self, state: Talk, event: Said) -> Talk:
        times = state.times.insert(event.text, state.times.get(event.text, 0) + 1)
        return replace(state, last=event.text, lines=state.lines.append(event.text), times=times)


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
    for nth in range(18):
        scope.connectors.save([replace(SEARCH, retry=nth % 5)])
        scope.files.put(f"notes/{nth}.txt", f"note {nth}".encode())
        scope.own(Diary, "mine").send(Say(f"day {nth}"))
    scope.connectors.save_draft(DRAFT)
    scope.roles.save([Role(id="coder", system_prompt="You write code.", connectors=("search",))])
    scope.roles.save_draft(Role(id="planner"))
    scope.files.put("large.bin", LARGE, "application/x-large")
    scope.files.delete("notes/3.txt")
    scope.own(Diary, "gone").send(Say("gone"))
    scope.own(Diary, "gone").delete()
    thread = scope.threads.start("review", prompt="Is it right?", key="ticket-812")
    thread.append("coder", "yes", artifacts={"fix.diff": b"+ x" * 5_000})
    thread.fork(at=0).append("coder", "no")
    scope.threads.start("failed").fail("it broke")
    scope.pins.add("kept", scope.blocks.put(b"kept"))
    scope.projection("kinds", kinds=["user-memory", "chat"], start={}).catch_up(counted)


def shown(scope: Scope) -> dict[str, Any]:
    """All that a scope shows."""
    diary = scope.own(Diary, "mine").get()
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
        "connectors": list(scope.connectors.get()),
        "roles": list(scope.roles.get()),
        "drafts": (scope.connectors.draft(), scope.roles.draft()),
        "files": [(info, scope.files.open(info.path).read()) for info in scope.files.list()],
        "diary": (diary.version, diary.state.last, list(diary.state.lines), dict(diary.state.times.items())),
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
