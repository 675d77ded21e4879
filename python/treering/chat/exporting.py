"""Exports threads: as chat records, value for value what was imported; or as their nodes.

Promises: a record is rebuilt from the thread's nodes alone, so a step that a fork changed changes that fork's record
and no other. Never: writes to the store.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from treering.chat.conversation import Message, to_record
from treering.chat.importing import expect_sync
from treering.codec import to_dag_json
from treering.context import END_ROLE
from treering.thread import Thread
from treering.threads import Threads


def export(threads: Threads | Iterable[Thread]) -> list[dict[str, Any]]:
    """Returns the chat records of threads: of all of a scope, the oldest first, or of those given, in their order.

    Steps that were appended after the import are messages like the others. What a chat record has no place for is left
    out: artifacts, links, `__end__` steps; `export_thread` counts it.

    Errors:
        Corrupt (`corrupt`), NotFound (`not-found`): a node of a thread is broken or missing; named.
    """
    expect_sync(threads)
    if isinstance(threads, Threads):
        threads = threads.list()
    return [export_thread(thread) for thread in threads]


def export_thread(thread: Thread, *, left_out: Counter[str] | None = None) -> dict[str, Any]:
    """Returns one thread as a chat record; see `export`.

    `left_out` is increased by what the record does not say, under `artifact`, `link` and `end`.
    """
    start = thread.start
    dropped: Counter[str] = Counter()

    def messages() -> Iterator[Message]:
        for step in thread:
            if step.role == END_ROLE:
                dropped["end"] += 1
                continue
            dropped["artifact"] += len(step.artifacts)
            dropped["link"] += len(step.links)
            yield Message(step.role, step.content, step.meta)

    record = to_record(None if start.prompt is None else thread.prompt, start.parameters, messages())
    if left_out is not None:
        left_out.update(+dropped)
    return record


def chat_json(record: Mapping[str, Any]) -> str:
    """A chat record as JSON on one line. Bytes and links, which only a hand-made step can hold, are as in DAG-JSON."""
    return json.dumps(record, ensure_ascii=False, default=_dag_json)


def nodes_json(thread: Thread) -> str:
    """A thread's record and its nodes as DAG-JSON on one line: start, prompt, then state and content of each step.

    Blocks of bytes (artifacts, contents over 4 KiB) stay behind their links.
    """
    core = thread._home.session.core
    start = thread.start
    cids = [start.cid, *([] if start.prompt is None else [start.prompt])]
    record: dict[str, Any] = {
        "id": thread.id,
        "key": thread.key,
        "scope": thread.scope,
        "workflow": thread.workflow,
        "status": thread.status,
        "labels": dict(thread.labels),
        "forked_from": None if thread.forked_from is None else list(thread.forked_from),
        "head": thread.head,
    }

    def nodes() -> Iterator[dict[str, Any]]:
        for cid in cids:
            yield {"cid": cid, "node": core.get_node(cid)}
        for step in thread:
            for cid in (step.cid, step.node.content):
                yield {"cid": cid, "node": core.get_node(cid)}

    return to_dag_json({"thread": record, "nodes": list(nodes())})


def _dag_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    return {"/": str(value)}
