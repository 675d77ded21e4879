"""The kinds of calls that touch a store, each written once for sync and async callers.

- `@verb` changes something. Its body is a generator: it yields what the core has queued, is sent the
  answer, and returns the result. Waiting is the driver's business, so one body serves both worlds.
- `@read` looks something up. Its body is a plain function.
- `@looks` looks something up that may take long. Its body is a verb's, and yields one look after the other, so that
  others have theirs in between, and who gave up is not worked for.
- `@stream` gives many things in order. Its body yields them in chunks.
- `@feed` is a stream without an end: it waits for more.
- `@pump` is a feed that changes something in between: its body is driven as a verb's.
- `@blocking` reads where Python has no place for an await (`in`, views); async objects go without.

This file drives them for sync callers; `treering._async` does the same for a loop. A body never calls
a decorated method of its own object: on an async object that would be a coroutine.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from treering._core import Pending, Watch
from treering._deciding import expect_none

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """Something that a verb reads on its way; a loop has it read in a thread."""

    read: Callable[[], Any]
    theirs: bool = False
    """Whether it calls a function of the caller's, which may wait for whatever: a loop has it wait in a thread of its
    own executor, so that it keeps no read of ours waiting."""


Queued: TypeAlias = Pending[Any] | Callable[[], Pending[Any]] | Look | Awaitable[Any]
"""A commit on its way, or a call that puts it there where that itself may take long (large blocks); a look-up; what a
function of the caller's is to be awaited for, where there is a loop."""

Op: TypeAlias = Generator[Queued, Any, T]
"""The body of a verb: yields what it queues, is sent the answers, returns `T`."""

Chunks: TypeAlias = Iterator[Sequence[T]]
"""The body of a stream: yields a few at a time."""

Feed: TypeAlias = Iterator[Sequence[T] | Watch]
"""The body of a feed: yields a few at a time, or what to wait on before there are more."""

Pump: TypeAlias = Generator[Queued | Sequence[T] | Watch, Any, None]
"""The body of a pump: yields what it queues, what to wait on, or a few at a time in a list."""

Kind: TypeAlias = Literal["verb", "read", "looks", "stream", "feed", "pump", "blocking"]
MARK: Final = "__treering_call__"
WAITS: Final = "__treering_waits__"


def verb(body: Callable[P, Op[T]]) -> Callable[P, T]:
    """Returns the blocking form of a verb."""

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        expect_none(body.__qualname__)
        return drive(body(*args, **kwargs))

    return _marked(call, "verb", body)


def read(body: Callable[P, T]) -> Callable[P, T]:
    """Returns the same function; an async object runs it in a thread."""
    setattr(body, MARK, ("read", body))
    return body


def looks(body: Callable[P, Op[T]]) -> Callable[P, T]:
    """Returns the blocking form of a read in several looks."""

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return drive(body(*args, **kwargs))

    return _marked(call, "looks", body)


def writes(body: Callable[P, T]) -> Callable[P, T]:
    """Returns the same function, refused to who decides: for a read that changes something, and so may wait."""

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        expect_none(body.__qualname__)
        return body(*args, **kwargs)

    return waits(call)


def waits(body: Callable[P, T]) -> Callable[P, T]:
    """Returns the same function; a loop has it wait in other threads than those that reads have: what may take minutes,
    or wait for another process."""
    setattr(body, WAITS, True)
    return body


def stream(body: Callable[P, Chunks[T]]) -> Callable[P, Iterator[T]]:
    """Returns the blocking form of a stream: an iterator over single items."""

    return _marked(_flat(body), "stream", body)


def feed(body: Callable[P, Feed[T]]) -> Callable[P, Iterator[T]]:
    """Returns the blocking form of a feed: an iterator that waits for the next item."""

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _Fed(body(*args, **kwargs))

    return _marked(call, "feed", body)


class _Fed(Iterator[T]):
    """The items of a feed. No generator: that would be over after Ctrl-C, and say so with an end that is none."""

    __slots__ = ("_chunks", "_ready", "_watch")

    def __init__(self, chunks: Feed[T]) -> None:
        self._chunks: Feed[T] = chunks
        self._ready: Iterator[T] = iter(())
        self._watch: Watch | None = None

    def __next__(self) -> T:
        while True:
            for item in self._ready:
                return item
            if self._watch is not None:
                self._watch.wait()
                self._watch = None
            chunk = next(self._chunks)
            if isinstance(chunk, Watch):
                self._watch = chunk
            else:
                self._ready = iter(chunk)

    def close(self) -> None:
        """Ends it."""
        self._ready, self._watch, self._chunks = iter(()), None, iter(())


def pump(body: Callable[P, Pump[T]]) -> Callable[P, Iterator[T]]:
    """Returns the blocking form of a pump: an iterator that works, and waits, for the next item."""

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        expect_none(body.__qualname__)
        return _pumped(body(*args, **kwargs))

    return _marked(call, "pump", body)


def _pumped(steps: Pump[T]) -> Iterator[T]:
    try:
        step = next(steps)
        while True:
            if isinstance(step, list):
                yield from step
                step = next(steps)
            elif isinstance(step, Watch):
                step.wait()
                step = next(steps)
            else:
                step = answer(steps, step)  # type: ignore[arg-type]
    except StopIteration:
        return


def _flat(body: Callable[P, Chunks[T]]) -> Callable[P, Iterator[T]]:
    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _each(body(*args, **kwargs))

    return call


def _each(chunks: Chunks[T]) -> Iterator[T]:
    for chunk in chunks:
        yield from chunk


def blocking(body: Callable[P, T]) -> Callable[P, T]:
    """Returns the same function; an async object has none of the name, since Python can't await it there."""
    setattr(body, MARK, ("blocking", body))
    return body


def drive(op: Op[T]) -> T:
    """Runs a verb's body to its end, waiting for each commit; Ctrl-C gets through."""
    try:
        queued = next(op)
        while True:
            queued = answer(op, queued)
    except StopIteration as stop:
        result: T = stop.value
        return result


def answer(steps: Generator[Any, Any, Any], queued: Queued) -> Any:
    """Sends a body the answer to what it queued, or has it raise what that failed with; returns what it yields next."""
    try:
        if isinstance(queued, Pending):
            found = queued.wait()
        elif isinstance(queued, Look):
            found = queued.read()
        elif callable(queued):
            found = queued().wait()
        else:
            if inspect.iscoroutine(queued):
                queued.close()
            raise TypeError("a function that is awaited needs an event loop: use treering.aio, or a plain function")
    except BaseException as error:
        return steps.throw(error)
    return steps.send(found)


def call_of(member: object) -> tuple[Kind, Callable[..., Any]] | None:
    """Returns the kind and the body of a decorated function, None for anything else."""
    found: tuple[Kind, Callable[..., Any]] | None = getattr(member, MARK, None)
    return found


def _marked(call: Callable[P, T], kind: Kind, body: Callable[..., Any]) -> Callable[P, T]:
    """Notes what `call` is, and gives it the signature that its callers see."""
    setattr(call, MARK, (kind, body))
    signature = inspect.signature(body)
    returns = outer_type(str(signature.return_annotation), kind)
    call.__annotations__ = {**body.__annotations__, "return": returns}
    setattr(call, "__signature__", signature.replace(return_annotation=returns))  # noqa: B010
    return call


def outer_type(annotation: str, kind: Kind) -> str:
    """Returns what a caller gets, from what a body is annotated with: `Op[Step]` gives `Step`."""
    match kind:
        case "verb" | "looks":
            return annotation.removeprefix("Op[").removesuffix("]")
        case "stream":
            return "Iterator[" + annotation.removeprefix("Chunks[")
        case "feed":
            return "Iterator[" + annotation.removeprefix("Feed[")
        case "pump":
            return "Iterator[" + annotation.removeprefix("Pump[")
        case "read" | "blocking":
            return annotation
