"""Imports a chat log: each record becomes one thread, in one commit of its own.

Promises: a record is imported whole or not at all; what can't be kept is reported with its record number and JSON
path while the others go in; a second import of the same records writes nothing; a killed import is finished by running
it again. Commits are queued ahead, so that records share fsyncs; threads are created in the file's order.

Never: writes the clock into a node (the same record gives the same blocks, whenever and wherever it is imported).
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

from treering._core import Pending
from treering._family import SYNC
from treering.chat.conversation import WORKFLOW, Conversation, conversation_of, largest_part, list_path
from treering.chat.reading import ChatLog, Record, Refusal, Refused, open_log
from treering.errors import AlreadyExists, Corrupt, Invalid, LimitExceeded, NotFound
from treering.step import NewStep
from treering.threads import Threads, start_args

#: Commits that are on their way at one time.
_IN_FLIGHT_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did."""

    records: int
    """Records that the file holds."""
    threads_new: int
    """Threads that were started."""
    threads_there: int
    """Records that had been imported before."""
    steps: int
    """Steps of the new threads."""
    blocks_written: int
    """Blocks that the new threads brought into the store."""
    refused: tuple[Refusal, ...]
    """Records that were not imported, and why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; `total` is None for JSON Lines, whose records are counted only as they are read."""

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A start that is queued."""

    record: Record
    steps: int
    pending: Pending[dict[str, Any]]


def import_file(
    threads: Threads, path: str | PathLike[str], *, progress: Callable[[Progress], None] | None = None
) -> ImportReport:
    """Returns what was imported from an OpenAI-style chat log, a JSON array or JSON Lines.

    Every record becomes a thread with the key `chat-<digest of the record>-<occurrence in the file>`. A message that
    is a system message and the first is the prompt, every other one a step. All new threads are durable on return.
    `progress` is called after every record, from this thread.

    Errors:
        Invalid (`invalid`): the file is no chat log, or an array that is cut; nothing was imported.
        OSError: the file can't be read.
    """
    with open_log(Path(path)) as log:
        return import_log(threads, log, progress=progress)


def import_log(threads: Threads, log: ChatLog, *, progress: Callable[[Progress], None] | None = None) -> ImportReport:
    """Returns what was imported from an opened chat log; see `import_file`.

    Whoever opens the log first learns that a file is none before there is a store to import it into.
    """
    expect_sync(threads)
    return _Import(threads, progress).run(log)


def expect_sync(threads: object) -> None:
    """Raises `Invalid` for the threads of an async store, whose verbs would only be promised."""
    if getattr(threads, "_family", SYNC) is not SYNC:
        raise Invalid(
            "chat logs take the threads of a sync store: open one beside the async one, on the same directory, and "
            "call this by `asyncio.to_thread`"
        )


class _Import:
    def __init__(self, threads: Threads, progress: Callable[[Progress], None] | None) -> None:
        self._threads = threads
        self._progress = progress
        self._occurrences: Counter[str] = Counter()
        self._in_flight: deque[_InFlight] = deque()
        self._refused: list[Refusal] = []
        self._new = self._there = self._steps = self._blocks = 0

    def run(self, log: ChatLog) -> ImportReport:
        records = 0
        for item in log.records:
            records += 1
            if isinstance(item, Refusal):
                self._refused.append(item)
            else:
                self._submit(item)
            while len(self._in_flight) >= _IN_FLIGHT_MAX:
                self._settle()
            if self._progress is not None:
                self._progress(Progress(records, log.total))
        while self._in_flight:
            self._settle()
        return ImportReport(
            records=records,
            threads_new=self._new,
            threads_there=self._there,
            steps=self._steps,
            blocks_written=self._blocks,
            refused=tuple(sorted(self._refused, key=lambda refusal: refusal.record)),
        )

    def _submit(self, record: Record) -> None:
        try:
            conversation = conversation_of(record.value)
            # Counted also for records that turn out to be there, so that a key never depends on what is stored.
            self._occurrences[conversation.digest] += 1
            key = f"chat-{conversation.digest}-{self._occurrences[conversation.digest]}"
            if self._is_there(key):
                self._there += 1
                return
            start = self._start(conversation, key)
            self._in_flight.append(_InFlight(record, len(conversation.messages), start))
        except Refused as refused:
            self._refuse(record, refused.path, refused.reason)
        except (Invalid, Corrupt) as error:
            self._refuse_for(record, error)

    def _settle(self) -> None:
        """Waits for the oldest start."""
        flight = self._in_flight.popleft()
        try:
            answer = flight.pending.wait()
        except AlreadyExists:
            # Another import of the same file runs beside this one.
            self._there += 1
        except Invalid as error:
            self._refuse_for(flight.record, error)
        else:
            self._new += 1
            self._steps += flight.steps
            self._blocks += answer["new_blocks"]

    def _is_there(self, key: str) -> bool:
        try:
            self._threads.get(key)
        except NotFound:
            return False
        return True

    def _refuse_for(self, record: Record, error: Invalid | Corrupt) -> None:
        path = "$"
        if isinstance(error, LimitExceeded):
            # One commit takes so many steps, and a thread that is half there would pass for imported.
            many = str(error.attributes.get("what", "")).startswith("steps of")
            path = list_path(record.value) if many else largest_part(record.value)
        self._refuse(record, path, str(error))

    def _refuse(self, record: Record, path: str, reason: str) -> None:
        self._refused.append(Refusal(record.number, path, reason, record.line))

    def _start(self, conversation: Conversation, key: str) -> Pending[dict[str, Any]]:
        """Queues the thread of a record: a commit of its own, which says what it wrote."""
        steps = [
            NewStep(message.role, message.content, meta=message.meta, at_ms=None) for message in conversation.messages
        ]
        home = self._threads._home
        batch = home.stores.batch(home.threads)
        batch.start(
            start_args(
                WORKFLOW,
                conversation.prompt,
                key,
                conversation.parameters,
                conversation.labels,
                None,
                None,
                None,
                steps,
                None,
            )
        )
        return batch.commit(None, home.principal, home.causation_id)
