"""Reads thread logs, `*.data.jsonl`: a line for the start, one for each step, and one for the end if it came to one.

Promises: steps come out while lines are read, in order; whatever is wrong raises `Refused` with its line. Knows no
thread: what becomes of the steps is `threads.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from treering.importing.contents import Contents
from treering.importing.fields import Fields, kind_of
from treering.importing.report import Notes, Refused
from treering.importing.source import read_lines
from treering.step import NewStep

_ROUNDS_MAX: Final = 2**63 - 1
#: Where hash and references of a step stand in its meta, unless that has such a name already.
_KEPT_UNDER: Final = ("contentHash", "refs")


@dataclass(frozen=True, slots=True)
class ForkFrom:
    """Where a log says that its thread was forked: the other's id, and its last step that was kept, if it says."""

    thread_id: str
    step: int | None


@dataclass(frozen=True, slots=True)
class LogStart:
    """The first line."""

    thread_id: str
    workflow: str
    workflow_hash: str | None
    prompt: Any
    parameters: dict[str, Any]
    """Without the prompt and `options.maxRounds`."""
    max_rounds: int | None
    fork_from: ForkFrom | None
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class LogStep:
    """A line between, as the step that it becomes."""

    step: NewStep
    line: int
    weight: int
    """About so many bytes."""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The last line."""

    return_code: int
    summary: str
    root_hash: str | None


@dataclass(slots=True)
class ThreadLog:
    """A log that is being read; `start` is there at once, `end` once the steps were read."""

    start: LogStart
    steps: Iterator[LogStep] = field(repr=False)
    end: LogEnd | None = None


def read_log(file: BinaryIO, contents: Contents, notes: Notes) -> ThreadLog:
    """Returns the log of an open file; `steps` reads on."""
    lines = read_lines(file)
    number, _, value = next(lines, (1, 0, None))
    if value is None:
        raise Refused("$", "it is empty", 1)
    log = ThreadLog(_start(Fields(value, "$", notes, number), notes, number), iter(()))
    log.steps = _steps(log, lines, contents, notes)
    return log


def _steps(
    log: ThreadLog, lines: Iterator[tuple[int, int, Any]], contents: Contents, notes: Notes
) -> Iterator[LogStep]:
    for number, weight, value in lines:
        if log.end is not None:
            raise Refused("$", "a line after the last one, which has the return code", number)
        fields = Fields(value, "$", notes, number)
        if fields.has("returnCode") and not fields.has("role"):
            log.end = _end(fields, number)
            continue
        step, beside = _step(fields, contents, notes, number)
        yield LogStep(step, number, weight + beside)


def _start(fields: Fields, notes: Notes, line: int) -> LogStart:
    parameters = dict(fields.object("parameters"))
    inner = Fields(parameters, fields.path("parameters"), notes, line)
    prompt, options = inner.any("prompt"), dict(inner.object("options"))
    choices = Fields(options, inner.path("options"), notes, line)
    rounds = choices.number("maxRounds", 0, _ROUNDS_MAX) if choices.any("maxRounds") is not None else None
    # What is left of them stays: parameters are whatever a workflow takes.
    parameters.pop(inner.key("prompt"), None)
    options.pop(choices.key("maxRounds"), None)
    if inner.any("options") is not None:
        parameters[inner.key("options")] = options
    if not options:
        parameters.pop(inner.key("options"), None)
    start = LogStart(
        thread_id=fields.name("threadId"),
        workflow=fields.name("name"),
        workflow_hash=fields.text("hash") or None,
        prompt=prompt,
        parameters=parameters,
        max_rounds=rounds,
        fork_from=_fork_from(fields, notes, line),
        at_ms=fields.moment("timestamp"),
    )
    fields.end()
    return start


def _fork_from(fields: Fields, notes: Notes, line: int) -> ForkFrom | None:
    value = fields.any("forkFrom")
    if value is None:
        return None
    if isinstance(value, str):
        return ForkFrom(fields.name("forkFrom"), None)
    inner = Fields(value, fields.path("forkFrom"), notes, line)
    step = inner.number("step", 0, 2**53) if inner.any("step") is not None else None
    fork = ForkFrom(inner.name("threadId"), step)
    inner.end()
    return fork


def _step(fields: Fields, contents: Contents, notes: Notes, line: int) -> tuple[NewStep, int]:
    role, meta, refs = fields.name("role"), dict(fields.object("meta")), fields.array("refs")
    digest = fields.text("contentHash")
    content, weight = fields.any("content"), 0
    if content is None and (digest or not fields.has("content")):
        content, weight = _found(digest, fields.path("contentHash"), contents, notes, line)
    artifacts: dict[str, bytes | str] = {}
    for index, ref in enumerate(refs):
        if not isinstance(ref, str):
            raise Refused(f"{fields.path('refs')}[{index}]", f"a reference is a text, not {kind_of(ref)}", line)
        if (data := _content(contents, ref, line)) is not None:
            artifacts[ref] = data
            weight += len(data)
        else:
            place = f"{fields.path('refs')}[{index}]"
            notes.changed(place, "nothing is found under the reference: it stays a text in meta", line)
    for name, value in zip(_KEPT_UNDER, (digest, refs), strict=True):
        if value:
            meta[name if meta.get(name, value) == value else _free(meta, f"log.{name}")] = value
    at_ms = fields.moment("timestamp")
    fields.end()
    return NewStep(role, content, meta=meta, artifacts=artifacts or None, at_ms=at_ms), weight


def _found(digest: str, path: str, contents: Contents, notes: Notes, line: int) -> tuple[str | bytes, int]:
    """The content of a hash, and its length; "" where there is none, which is noted."""
    if not digest:
        raise Refused("$", "the step has neither content nor contentHash", line)
    data = _content(contents, digest, line)
    if data is None:
        notes.changed(path, "no content is found under the hash: the step has none, and keeps the hash in meta", line)
        return "", 0
    try:
        return data.decode(), len(data)
    except UnicodeDecodeError:
        return data, len(data)


def _content(contents: Contents, digest: str, line: int) -> bytes | None:
    try:
        return contents.find(digest)
    except Refused as refused:
        raise Refused(refused.path, refused.reason, line) from None


def _end(fields: Fields, line: int) -> LogEnd:
    if fields.any("returnCode") is None:
        raise Refused(fields.path("returnCode"), "a number is expected, not null", line)
    end = LogEnd(
        return_code=fields.number("returnCode", -(2**31), 2**32 - 1),
        summary=fields.text("summary"),
        root_hash=fields.text("rootHash") or None,
    )
    fields.end()
    return end


def _free(meta: dict[str, Any], name: str) -> str:
    while name in meta:
        name = f"log.{name}"
    return name
