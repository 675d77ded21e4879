"""A scope that uses all that there is, and whose every text has a mark of its own."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import treering
from treering import Secret
from treering.messages import CliConnector, Connector, Conversation, HttpConnector, Message, Role, UserConfig

SCOPE = "SCOPEMARK"
MARKS = (
    "SCOPEMARK", "KEYMARK", "PROMPTMARK", "CONTENTMARK", "LONGMARK", "METAMARK", "FIELDMARK", "ARTIFACTMARK",
    "FILEMARK", "COMMANDMARK", "LABELMARK", "ERRORMARK", "SUMMARYMARK", "PINMARK", "BLOCKMARK", "TITLEMARK",
    "CHATMARK", "MESSAGEMARK", "THINKINGMARK", "MEMORYMARK", "CATEGORYMARK", "AGENTMARK", "TYPEMARK",
    "ROOMMARK", "DISPLAYMARK", "CONFIGMARK", "WORKFLOWMARK", "SOURCEMARK", "SCRIPTMARK", "PROJECTIONMARK",
    "VIEWMARK", "PRINCIPALMARK", "CAUSEMARK", "WORKERMARK", "NOWMARK", "GONEMARK", "MAPMARK", "BATCHMARK",
    "CONNECTORMARK", "URLMARK", "HEADERMARK", "REFERENCEMARK", "CONNECTORDRAFTMARK", "ROLEMARK", "SYSTEMMARK",
    "ROLEDRAFTMARK", "PATHMARK", "SMALLFILEMARK", "LARGEFILEMARK", "MEDIAMARK", "PARTMARK", "LASTMARK", "LINEMARK",
    "COUNTMARK", "ATTACHMARK", "DELETEDMARK", "UPLOADMARK",
)  # fmt: skip


@dataclass(frozen=True)
class Say:
    last: str
    line: str


@dataclass(frozen=True)
class Said:
    last: str
    line: str


@dataclass(frozen=True)
class Talk:
    last: str = ""
    lines: treering.Vector[str] = field(default_factory=treering.Vector)
    counts: treering.Map[int] = field(default_factory=treering.Map)


class Diary(treering.Actor[Talk, Say, Said]):
    """An actor of an application, whose state is in blocks of its own."""

    kind = "diary"

    def decide(self, state: Talk, command: Say, context: treering.ActorContext) -> Said:
        return Said(command.last, command.line)

    def evolve(self, state: Talk, event: Said) -> Talk:
        # Its name is one that no text of another scope has.
        counts = state.counts.insert(event.line.replace("LINE", "COUNT"), len(state.lines))
        return replace(state, last=event.last, lines=state.lines.append(event.line), counts=counts)


def live(
    store: treering.Store,
    name: str = SCOPE,
    swap: str | None = None,
    number: int = 0,
    workspace: Path | None = None,
) -> None:
    """Does everything once, in that scope; `swap` takes the place of `MARK` in all texts, for another scope;
    `number` tells one time from another. Drafts are mirrored to the workspace."""

    def said(text: str) -> str:
        return text if swap is None else text.replace("MARK", swap)

    scope = store.scope(name).on_behalf_of(said("PRINCIPALMARK"), causation_id=said("CAUSEMARK"))
    _threads(scope, said, number)
    _stores(scope, said, number)
    _catalogs(scope if workspace is None else scope.with_workspace(treering.LocalWorkspace(workspace)), said, number)
    _files(scope, said, number)
    _own(scope, said, number)


def _threads(scope: treering.Scope, said: Any, number: int) -> None:
    thread = scope.threads.start(
        said("WORKFLOWMARK"),
        prompt=said("PROMPTMARK"),
        key=said(f"KEYMARK-{number}"),
        labels={said("LABELMARK"): said("LABELMARK")},
        command_id=said(f"COMMANDMARK-{number}"),
    )
    thread.append(
        said("planner"), said("CONTENTMARK"), meta={said("FIELDMARK"): said("METAMARK")}, command_id=said("COMMANDMARK")
    )
    thread.append("coder", said("LONGMARK ") * 2_000)
    large = said("FILEMARK ").encode() * 40_000
    thread.append("coder", "files", artifacts={said("ARTIFACTMARK.txt"): large})
    fork = thread.fork(at=1, key=said(f"KEYMARK-fork-{number}"))
    fork.append("coder", said("CONTENTMARK elsewhere"))
    fork.fail(said("ERRORMARK"))
    other = scope.threads.start("gone")
    other.append("coder", said("GONEMARK"))
    other.rm()
    thread.finish(0, said("SUMMARYMARK"))
    scope.pins.add(said(f"PINMARK-{number}"), scope.blocks.put(said(f"BLOCKMARK {number}").encode()))
    with scope.commit(command_id=said(f"COMMANDMARK-batch-{number}")) as c:
        c.threads.start("batch", prompt=said("BATCHMARK"))
        c.memory.add("context", said("BATCHMARK"))
    leased = scope.threads.start("leased")
    with leased.lease(said("WORKERMARK")):
        leased.append("coder", said("NOWMARK"))
    leased.append("coder", {"map": treering.Map({said("MAPMARK"): said("MAPMARK")})})


def _stores(scope: treering.Scope, said: Any, number: int) -> None:
    chat = said(f"CHATMARK-{number}")
    first = Message(role="user", content=said("MESSAGEMARK"), thinking=said("THINKINGMARK"))
    scope.chats.save(chat, Conversation(title=said("TITLEMARK")), [first])
    for _ in range(20):
        scope.chats.append(chat, [Message(role="user", content=said("MESSAGEMARK again"))])
    scope.memory.add(said("CATEGORYMARK"), said("MEMORYMARK"), source="explicit", command_id=said("COMMANDMARK"))
    kept = scope.memory.add("context", said("GONEMARK"))
    scope.memory.remove(kept.value.id if kept.value else "")
    scope.agents.add(said("TYPEMARK"), said(f"AGENTMARK-{number}"))
    scope.participants.add(said("ROOMMARK"), said("AGENTMARK"), said("DISPLAYMARK"))
    scope.user_config.save(UserConfig(default_model=said("CONFIGMARK"), github_username=said("CONFIGMARK")))
    scope.workflows.upload(said(f"WORKFLOWMARK-{number}"), said("WORKFLOWMARK"), said("SOURCEMARK: true"))
    scope.scripts.upload(said(f"SCRIPTMARK-{number}"), said("SOURCEMARK = 1"))
    view = scope.projection(said(f"PROJECTIONMARK-{number}"), kinds=["user-memory"], start={})
    view.catch_up(lambda seen, event, commit: {**seen, said("VIEWMARK"): len(seen)})


def _catalogs(scope: treering.Scope, said: Any, number: int) -> None:
    part = HttpConnector(
        base_url=f"https://{said('URLMARK')}.example",
        default_headers={said("HEADERMARK"): said("HEADERMARK"), "Authorization": Secret(said("env:REFERENCEMARK"))},
    )
    for nth in range(17):  # more than a snapshot's worth
        kept = [Connector(name=said(f"CONNECTORMARK-{number}"), type="http", http=part, retry=nth % 5)]
        scope.connectors.save(kept, command_id=said(f"COMMANDMARK-{number}-{nth}"))
        scope.roles.save([Role(id=said(f"ROLEMARK-{number}-{nth}"), system_prompt=said("SYSTEMMARK ") * 40)])
    command = CliConnector(command=said("CONNECTORDRAFTMARK"))
    scope.connectors.save_draft(Connector(name=said("CONNECTORDRAFTMARK"), type="cli", cli=command))
    scope.roles.save_draft(Role(id=said("ROLEDRAFTMARK")))


def _files(scope: treering.Scope, said: Any, number: int) -> None:
    for nth in range(17):
        scope.files.put(said(f"notes/PATHMARK-{number}-{nth}.txt"), said("SMALLFILEMARK ").encode() * (nth + 1))
    # One that has a file of its own, beyond 256 KiB.
    scope.files.put(said(f"PATHMARK-{number}"), said("LARGEFILEMARK ").encode() * 20_000, said("text/x-MEDIAMARK"))
    scope.files.put(said("DELETEDMARK"), said("DELETEDMARK ").encode() * (number + 1))
    scope.files.delete(said("DELETEDMARK"))
    attached = scope.files.stat(said(f"PATHMARK-{number}")).content
    scope.chats.append("attached", [Message(role="user", content=said("ATTACHMARK"), attachments=(attached,))])
    pieces = iter([said("UPLOADMARK ").encode() * 30_000, None])
    try:
        # An upload that breaks off.
        scope.files.put("broken", pieces)  # type: ignore[arg-type]
    except treering.Invalid:
        return
    raise AssertionError("None is no bytes")


def _own(scope: treering.Scope, said: Any, number: int) -> None:
    diary = scope.own(Diary, said(f"PARTMARK-{number}"))
    for nth in range(17):
        diary.send(Say(said(f"LASTMARK {nth}"), said(f"LINEMARK {nth}")))
    gone = scope.own(Diary, "gone")
    gone.send(Say(said("GONEMARK"), said("LINEMARK of one that is gone")))
    gone.delete()
    view = scope.projection(said(f"PROJECTIONMARK-own-{number}"), kinds=[Diary, "files", "role-catalog"], start={})
    view.catch_up(lambda seen, event, commit: {**seen, said("VIEWMARK"): len(seen)})
