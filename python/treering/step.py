"""A step of a thread, as read (`Step`) and as it is to be written (`NewStep`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from treering import html
from treering._core import Cid, StepCore, to_dag_json
from treering._session import Session
from treering.errors import Invalid, NotFound
from treering.nodes import StateNode

if TYPE_CHECKING:
    from treering._core import _StepArgs


class _Now(Enum):
    NOW = "now"

    def __repr__(self) -> str:
        return "NOW"


NOW: Final = _Now.NOW
"""Stands for the time of the store's clock, wherever an `at_ms` is asked for."""

AtMs: TypeAlias = int | Literal[_Now.NOW] | None
"""Unix milliseconds, `NOW`, or None to record no time."""


@dataclass(frozen=True, slots=True)
class NewStep:
    """A step to write: what `Thread.append` takes, as a value; for `Thread.extend` and imports."""

    role: str
    content: object = ""
    meta: Mapping[str, object] | None = field(default=None, kw_only=True)
    artifacts: Mapping[str, bytes | str] | None = field(default=None, kw_only=True)
    links: Iterable[Cid] = field(default=(), kw_only=True)
    at_ms: AtMs = field(default=NOW, kw_only=True)


StepLike: TypeAlias = NewStep | tuple[str, object]
"""A `NewStep`, or (role, content) for short."""


def step_args(step: StepLike) -> _StepArgs:
    """Returns a step in the core's terms."""
    if isinstance(step, tuple):
        if len(step) != 2:  # a caller without a type checker
            raise Invalid(f"a step is a NewStep or a pair (role, content), this has {len(step)} parts: {step!r:.80}")
        step = NewStep(*step)
    elif not isinstance(step, NewStep):
        raise Invalid(f"a step is a NewStep or a pair (role, content), not {type(step).__name__}")
    return core_args(step.role, step.content, step.meta, step.artifacts, step.links, step.at_ms)


def core_args(
    role: str,
    content: object,
    meta: Mapping[str, object] | None,
    artifacts: Mapping[str, bytes | str] | None,
    links: Iterable[Cid],
    at_ms: AtMs,
) -> _StepArgs:
    """Returns a step's fields in the core's terms."""
    time: int | Literal["now"] | None = "now" if isinstance(at_ms, _Now) else at_ms
    if isinstance(time, int) and not AT_MS_MIN <= time <= AT_MS_MAX:
        raise Invalid(
            f"at_ms {time} is not in the years 1 to 9999: it counts milliseconds since 1970",
            what="at_ms",
            value=str(time),
        )
    return (role, content, meta, artifacts, tuple(links), time, None)


class StepRef(NamedTuple):
    """A place in a thread: step `number` is the node `cid`. Number 0 is the start."""

    number: int
    cid: Cid


class StepPlace(NamedTuple):
    """Step `step` of the thread with the id `thread`."""

    thread: str
    step: int

    def __str__(self) -> str:
        return f"thread {self.thread} step {self.step}"


AT_MS_MIN: Final = -62_135_596_800_000
"""The first moment of the year 1, UTC."""
AT_MS_MAX: Final = 253_402_300_799_999
"""The last moment of the year 9999, UTC: what `datetime` ends with."""


def when(at_ms: int) -> datetime:
    """Returns the moment of Unix milliseconds, in UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)


class _Body(NamedTuple):
    """A content node as read: payload, artifacts by name, links."""

    payload: Any
    artifacts: Mapping[str, Cid]
    links: tuple[Cid, ...]


def read_body(session: Session, cid: Cid) -> _Body:
    """Reads a content node and what it spilled: one block, or two."""
    found = session.core.content(cid)
    return _Body(found["payload"], found["artifacts"], tuple(found["refs"]))


class Artifacts(Mapping[str, bytes]):
    """The named bytes of a step; each is read when it is asked for, and checked. In name order."""

    __slots__ = ("_cids", "_session")

    def __init__(self, session: Session, cids: Mapping[str, Cid]) -> None:
        self._session = session
        self._cids = cids

    def __getitem__(self, name: str) -> bytes:
        return self._session.core.get(self.cid(name))

    def __iter__(self) -> Any:
        return iter(self._cids)

    def __len__(self) -> int:
        return len(self._cids)

    def cid(self, name: str) -> Cid:
        """Returns the CID of an artifact's bytes, without reading them.

        Errors:
            NotFound (`not-found`): the step has no artifact of that name.
        """
        try:
            return self._cids[name]
        except KeyError:
            names = ", ".join(self._cids) or "none"
            raise NotFound(f"no artifact {name!r}; there are: {names}", name=name) from None

    def __repr__(self) -> str:
        return f"<Artifacts {', '.join(self._cids) or 'none'}>"


class Step:
    """One step: immutable, named by its CID.

    Number, role, meta and time are at hand; content, artifacts and links are read at first use (one block,
    two where the content is over 4 KiB) and kept. A pickled step carries all of it and needs no store.
    Two steps are equal if their CIDs are.
    """

    __slots__ = ("_artifacts", "_body", "_node", "_session")

    # As it came from the core, until a field of it is asked for: an append's answer is often dropped.
    _node: StateNode | StepCore
    _session: Session | None
    _body: _Body | None
    _artifacts: Mapping[str, bytes] | None

    def __init__(self, session: Session, core: StepCore) -> None:
        self._session = session
        self._node = core
        self._body = None
        self._artifacts = None

    @property
    def number(self) -> int:
        """The step's place in its thread, from 1."""
        return self.node.step

    @property
    def cid(self) -> Cid:
        """The CID of the step's node."""
        return self.node.cid

    @property
    def role(self) -> str:
        """Who wrote it."""
        return self.node.role

    @property
    def meta(self) -> Mapping[str, Any]:
        """What was recorded about it, a JSON-like map; don't change it."""
        return self.node.meta

    @property
    def content(self) -> Any:
        """What it says: str, bytes or a value; read at first use.

        Errors:
            NotFound (`not-found`), Corrupt (`corrupt`): the content's block is not there or broken.
            Closed (`closed`): the store was closed before the first use.
        """
        return self._read().payload

    @property
    def text(self) -> str:
        """The content for people: a text as it is, bytes as UTF-8 (� where they are not), else DAG-JSON."""
        match self.content:
            case str() as text:
                return text
            case bytes() as data:
                return data.decode(errors="replace")
            case value:
                return to_dag_json(value)

    @property
    def artifacts(self) -> Mapping[str, bytes]:
        """Named bytes beside the content; each read when it is asked for."""
        if self._artifacts is None:
            body = self._read()
            if self._session is None:
                raise AssertionError("a step without a store carries its artifacts")
            self._artifacts = Artifacts(self._session, body.artifacts)
        return self._artifacts

    @property
    def links(self) -> tuple[Cid, ...]:
        """Blocks that the step refers to, as given to `append`."""
        return self._read().links

    @property
    def at_ms(self) -> int | None:
        """When it was written, Unix milliseconds; None where no time was recorded."""
        return self.node.at_ms

    @property
    def at(self) -> datetime | None:
        """When it was written, in UTC; None where no time was recorded, or one outside of the years 1 to 9999."""
        at_ms = self.at_ms
        return None if at_ms is None or not AT_MS_MIN <= at_ms <= AT_MS_MAX else when(at_ms)

    @property
    def node(self) -> StateNode:
        """The step's node with all its fields."""
        node = self._node
        if isinstance(node, StepCore):
            node = self._node = StateNode(
                cid=node.cid,
                role=node.role,
                meta=node.meta,
                start=node.start,
                content=node.content,
                parent=node.parent,
                jump=node.jump,
                step=node.number,
                compact=node.compact,
                child_thread=node.child_thread,
                at_ms=node.at_ms,
            )
        return node

    def _read(self) -> _Body:
        if self._body is None:
            if self._session is None:
                raise AssertionError("a step without a store carries its content")
            self._body = read_body(self._session, self.node.content)
        return self._body

    def __eq__(self, other: object) -> bool:
        return self.cid == other.cid if isinstance(other, Step) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.cid)

    def __setstate__(self, state: tuple[StateNode, _Body, dict[str, bytes]]) -> None:
        self._session = None
        self._node, self._body, self._artifacts = state

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.node, self._read(), dict(self.artifacts))
        return Step.__new__, (Step,), state

    def __repr__(self) -> str:
        # Only what is at hand: a repr reads nothing.
        body = ""
        if self._body is not None and isinstance(self._body.payload, str):
            text = self._body.payload
            body = f" {text[:40] + '…' if len(text) > 40 else text!r}"
        role = self.role if self.role.isprintable() else repr(self.role)
        return f"<Step {self.number} {role}{body} {self.cid.short()}>"

    def _repr_html_(self) -> str:
        return html.step(self)
