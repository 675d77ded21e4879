"""What `--json` prints: one shape for a thread, a step, a context, wherever they stand.

Fields are named as in the Python API; CIDs of the record itself are plain text, links inside contents are DAG-JSON's
`{"/": …}`. The shapes are append-only: fields are added, none is renamed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treering import ActorEvent, ActorInfo, Cid, ProjectionInfo, ScopeEvent
    from treering.context import Context
    from treering.diff import Diff
    from treering.step import Step
    from treering.stores import ActorState
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


def actor_record(info: "ActorInfo") -> dict[str, Any]:
    """Where an actor stands."""
    return {
        "kind": info.kind,
        "parts": list(info.parts),
        "version": info.version,
        "oldest": info.oldest,
        "events": info.events,
        "at_ms": info.at_ms,
        "deleted_at_ms": info.deleted_at_ms,
        "head": None if info.head is None else str(info.head),
        "broken": info.broken,
    }


def projection_record(info: "ProjectionInfo") -> dict[str, Any]:
    """Where a projection stands, in the manner of an actor's row."""
    return {
        "kind": "projection",
        "parts": [info.name],
        "version": info.version,
        "events": info.events,
        "sources": info.sources,
        "broken": info.broken,
    }


def event_record(event: "ActorEvent") -> dict[str, Any]:
    """An event with its message."""
    return {
        "version": event.version,
        "at_ms": event.at_ms,
        "type": event.type,
        "schema": event.schema,
        "message": None if event.message is None else message_record(event.message),
        "event_id": event.event_id,
        "command_id": event.command_id,
        "causation_id": event.causation_id,
        "principal": event.principal,
        "cid": str(event.cid),
    }


def scope_event_record(happened: "ScopeEvent") -> dict[str, Any]:
    """What happened to something of a scope; no event where it is no actor, or was deleted."""
    event = happened.event
    return {
        "kind": happened.kind,
        "parts": list(happened.parts),
        "version": happened.version,
        "at_ms": happened.at_ms,
        "position": happened.position,
        "change": happened.change,
        "deleted": happened.change == "deleted",
        "target": None if happened.target is None else str(happened.target),
        "event": None if event is None else event_record(event),
    }


def message_record(value: Any) -> Any:
    """A message of `treering.messages`, field by field; a secret as where it is found."""
    from treering import Secret

    if isinstance(value, Secret):
        return {"secret": value.reference}
    if isinstance(value, Mapping):
        return {name: message_record(item) for name, item in value.items()}
    if is_dataclass(value):
        return {field.name: message_record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [message_record(item) for item in value]
    return value


def state_record(state: "ActorState") -> Any:
    """A state: an object, a list, rooms by id; of a chat what is known of it, and its messages; of a catalog its items,
    whether it was ever saved, and its draft; of a kind of somebody's own the fields that were stored last and the
    events after."""
    from treering.stores import Catalog, Messages, StoredState

    if isinstance(state, StoredState):
        return {
            "fields": state.fields,
            "fields_version": state.fields_version,
            "events": [event_record(event) for event in state.events],
        }
    if isinstance(state, Catalog):
        items = [message_record(one) for one in state]
        return {"items": items, "exists": state.exists, "draft": message_record(state.draft)}
    if isinstance(state, Messages):
        return {"conversation": message_record(state.conversation), "messages": [message_record(one) for one in state]}
    if isinstance(state, dict):
        return {room_id: [message_record(one) for one in there] for room_id, there in state.items()}
    return [message_record(one) for one in state] if isinstance(state, Sequence) else message_record(state)
