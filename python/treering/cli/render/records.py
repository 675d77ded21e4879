"""What `--json` prints: one shape for a thread, a step, a context, wherever they stand.

Fields are named as in the Python API; CIDs of the record itself are plain text, links inside contents are DAG-JSON's
`{"/": …}`. The shapes are append-only: fields are added, none is renamed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treering import Cid
    from treering.context import Context
    from treering.diff import Diff
    from treering.step import Step
    from treering.thread import Thread


def thread_record(thread: "Thread") -> dict[str, Any]:
    """A thread's record. Of a corrupt one only what can be told."""
    if thread.status == "corrupt":
        return {"id": thread.id, "scope": thread.scope, "status": "corrupt"}
    forked_from = thread.forked_from
    return {
        "id": thread.id,
        "key": thread.key,
        "scope": thread.scope,
        "workflow": thread.workflow,
        "status": thread.status,
        "labels": dict(thread.labels),
        "steps": len(thread),
        "head": str(thread.head),
        "forked_from": None if forked_from is None else {"thread": forked_from.thread, "step": forked_from.step},
        "overrides": dict(thread.overrides),
        "created_at_ms": thread.created_at_ms,
        "updated_at_ms": thread.updated_at_ms,
        "completed_at_ms": thread.completed_at_ms,
    }


def step_record(step: "Step") -> dict[str, Any]:
    """A step with its content."""
    return {
        "number": step.number,
        "cid": str(step.cid),
        "role": step.role,
        "content": step.content,
        "meta": dict(step.meta),
        "at_ms": step.at_ms,
        "artifacts": artifact_cids(step),
        "links": [str(cid) for cid in step.links],
    }


def context_record(context: "Context") -> dict[str, Any]:
    """What an agent would be given."""
    return {
        "prompt": context.prompt,
        "parameters": dict(context.parameters),
        "summary": context.summary,
        "steps": [step_record(step) for step in context.steps],
    }


def diff_record(diff: "Diff") -> dict[str, Any]:
    """The last common step, number 0 for the start, and what each side has of its own."""
    common = diff.common
    return {
        "common": None if common is None else {"number": common.number, "cid": str(common.cid)},
        "only_a": [step_record(step) for step in diff.left],
        "only_b": [step_record(step) for step in diff.right],
    }


def artifact_cids(step: "Step") -> dict[str, str]:
    """The step's artifacts by name, each as its CID, without reading them."""
    artifacts: Mapping[str, bytes] = step.artifacts
    cid_of = getattr(artifacts, "cid", None)
    return {} if cid_of is None else {name: str(cid_of(name)) for name in artifacts}


def block_record(cid: "Cid", data: bytes) -> dict[str, Any]:
    """A block with its value: a node's as DAG-JSON, text as text, other bytes as DAG-JSON writes bytes."""
    from treering.codec import decode

    value: Any = data
    if cid.codec == "raw":
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            value = data
    else:
        value = decode(data)
    return {"cid": str(cid), "codec": cid.codec, "size": len(data), "value": value}
