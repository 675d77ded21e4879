"""The three kinds of nodes that threads are made of, as typed values.

A node is a DAG-CBOR map with a `kind`; absent optional fields are left out. `docs/format.md` says every
field. These classes only read: nodes are written by the core, and a field that is not as it must be
raises `Corrupt` with the node's CID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from treering._core import Cid
from treering.errors import Corrupt

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartNode:
    """Where a thread begins. Forks share it; it holds no thread id."""

    cid: Cid
    workflow: str
    workflow_hash: str | None
    prompt: Cid | None
    """The prompt's content node; None where there is no prompt."""
    parameters: Mapping[str, Any]
    max_rounds: int | None
    depth: int
    """How deep workflows are nested; 0 for one that nobody called."""
    parent_state: Cid | None
    """The step of the calling thread; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateNode:
    """One step of a thread."""

    cid: Cid
    role: str
    meta: Mapping[str, Any]
    start: Cid
    content: Cid
    parent: Cid | None
    """The step before; None for step 1."""
    jump: Cid | None
    """A step further back, for walks of O(log n); None where that would be the start."""
    step: int
    """Counts from 1."""
    compact: Cid | None
    """A content node that stands for all that came before; None for most steps."""
    child_thread: Cid | None
    at_ms: int | None
    """Unix milliseconds; None where no time was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentNode:
    """What a step or a prompt says."""

    cid: Cid
    payload: Any
    """Text, bytes or a value. None also where it is spilled: see `spilled`."""
    spilled: Cid | None
    """The block that holds a payload of more than 4 KiB; None where the payload is inline."""
    spilled_as: str | None
    """What the block holds: `text`, `bytes` or `node`."""
    artifacts: Mapping[str, Cid]
    """Named bytes, each a block of its own."""
    refs: tuple[Cid, ...]


Node: TypeAlias = StartNode | StateNode | ContentNode


def parse(value: object, cid: Cid) -> Node:
    """Returns the node that `value` is, a decoded block; `cid` is its name, for messages.

    Errors:
        Corrupt (`corrupt`): it is none of the three kinds, or a field is not as it must be.
    """
    fields = _Fields(value, cid)
    match fields.take("kind", str):
        case "start":
            node: Node = StartNode(
                cid=cid,
                workflow=fields.take("workflow", str),
                workflow_hash=fields.maybe("workflow_hash", str),
                prompt=fields.maybe("prompt", Cid),
                parameters=fields.maybe("parameters", dict) or {},
                max_rounds=fields.maybe("max_rounds", int),
                depth=fields.maybe("depth", int) or 0,
                parent_state=fields.maybe("parent_state", Cid),
            )
        case "state":
            node = StateNode(
                cid=cid,
                role=fields.take("role", str),
                meta=fields.maybe("meta", dict) or {},
                start=fields.take("start", Cid),
                content=fields.take("content", Cid),
                parent=fields.maybe("parent", Cid),
                jump=fields.maybe("jump", Cid),
                step=fields.take("step", int),
                compact=fields.maybe("compact", Cid),
                child_thread=fields.maybe("child_thread", Cid),
                at_ms=fields.maybe("at_ms", int),
            )
        case "content":
            node = _content(fields, cid)
        case kind:
            raise Corrupt(f"ill-typed node {cid}: its kind is {kind!r}", which=str(cid))
    fields.finish()
    return node


def _content(fields: _Fields, cid: Cid) -> ContentNode:
    spilled = fields.maybe("spilled", dict)
    inner = _Fields(spilled, cid) if spilled is not None else None
    return ContentNode(
        cid=cid,
        payload=fields.anything("payload") if inner is None else None,
        spilled=inner.take("block", Cid) if inner is not None else None,
        spilled_as=inner.take("as", str) if inner is not None else None,
        artifacts=fields.mapping_of("artifacts", Cid),
        refs=fields.sequence_of("refs", Cid),
    )


_MISSING: Final = object()


class _Fields:
    """Takes the fields of a map one by one, each with its type, and tells when some are left."""

    def __init__(self, value: object, cid: Cid) -> None:
        self._cid = cid
        if not isinstance(value, dict):
            raise self._wrong("the node", "a map", value)
        self._left: dict[str, Any] = dict(value)

    def take(self, name: str, kind: type[T]) -> T:
        value = self._left.pop(name, _MISSING)
        # A bool is an int to Python and not to us.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._wrong(name, kind.__name__, value)
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        return self.take(name, kind) if name in self._left else None

    def anything(self, name: str) -> Any:
        value = self._left.pop(name, _MISSING)
        if value is _MISSING:
            raise self._wrong(name, "there", value)
        return value

    def mapping_of(self, name: str, kind: type[T]) -> dict[str, T]:
        values: dict[str, Any] = self.maybe(name, dict) or {}
        for key, value in values.items():
            if not isinstance(value, kind):
                raise self._wrong(f"{name}.{key}", kind.__name__, value)
        return values

    def sequence_of(self, name: str, kind: type[T]) -> tuple[T, ...]:
        values: list[Any] = self.maybe(name, list) or []
        for index, value in enumerate(values):
            if not isinstance(value, kind):
                raise self._wrong(f"{name}[{index}]", kind.__name__, value)
        return tuple(values)

    def finish(self) -> None:
        for name in self._left:
            raise Corrupt(f"ill-typed node {self._cid}: unknown field {name!r}", which=str(self._cid))

    def _wrong(self, field: str, must_be: str, value: object) -> Corrupt:
        found = "missing" if value is _MISSING else type(value).__name__
        return Corrupt(
            f"ill-typed node {self._cid}: {field} must be {must_be}, it is {found}",
            which=str(self._cid),
            field=field,
        )
