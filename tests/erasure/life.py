"""A scope that uses all that there is, and whose every text has a mark of its own."""

from typing import Any

import treering
from treering.messages import Conversation, Message, UserConfig

SCOPE = "SCOPEMARK"
MARKS = (
    "SCOPEMARK", "KEYMARK", "PROMPTMARK", "CONTENTMARK", "LONGMARK", "METAMARK", "FIELDMARK", "ARTIFACTMARK",
    "FILEMARK", "COMMANDMARK", "LABELMARK", "ERRORMARK", "SUMMARYMARK", "PINMARK", "BLOCKMARK", "TITLEMARK",
    "CHATMARK", "MESSAGEMARK", "THINKINGMARK", "MEMORYMARK", "CATEGORYMARK", "AGENTMARK", "TYPEMARK",
    "ROOMMARK", "DISPLAYMARK", "CONFIGMARK", "WORKFLOWMARK", "SOURCEMARK", "SCRIPTMARK", "PROJECTIONMARK",
    "VIEWMARK", "PRINCIPALMARK", "CAUSEMARK", "WORKERMARK", "NOWMARK", "GONEMARK", "MAPMARK", "BATCHMARK",
)  # fmt: skip


def live(store: treering.Store, name: str = SCOPE, swap: str | None = None, number: int = 0) -> None:
    """Does everything once, in that scope; `swap` takes the place of `MARK` in all texts, for another scope;
    `number` tells one time from another."""

    def said(text: str) -> str:
        return text if swap is None else text.replace("MARK", swap)

    scope = store.scope(name).on_behalf_of(said("PRINCIPALMARK"), causation_id=said("CAUSEMARK"))
    _threads(scope, said, number)
    _stores(scope, said, number)


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
