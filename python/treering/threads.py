"""The threads of a scope: start them, find them, list them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, ClassVar, TypeAlias, cast

from treering._calls import Op, read, verb
from treering._core import Cid, ThreadCore
from treering._family import SYNC, Family
from treering._session import Address, Home
from treering.errors import Invalid
from treering.step import StepLike, step_args
from treering.thread import Seen, Status, Thread

Listing: TypeAlias = list[Thread]


class Threads:
    """The threads of one scope, `scope.threads`; `store.threads` are those of the scope `main`."""

    __slots__ = ("_home",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home) -> None:
        self._home = home

    @verb
    def start(
        self,
        workflow: str,
        *,
        prompt: object = None,
        key: str | None = None,
        parameters: Mapping[str, object] | None = None,
        labels: Mapping[str, object] | None = None,
        max_rounds: int | None = None,
        workflow_hash: str | None = None,
        parent_state: Cid | None = None,
        steps: Iterable[StepLike] = (),
        command_id: str | None = None,
    ) -> Op[Thread]:
        """Returns a new thread, durable: prompt, start and record were written in one commit.

        `prompt` is a text, bytes, a value, or None for none. `key` is your own name for it, unique in
        the scope. `parameters` are kept in the start, which forks share; `labels` are small values on
        the thread itself, to filter by. `steps` are appended in the same commit. A repeated
        `command_id` returns the first thread and writes nothing.

        Errors:
            AlreadyExists (`already-exists`): the key is taken; the error carries the thread's id.
            CommandMismatch (`command-mismatch`): the command id came before, with other arguments.
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): an argument can't be.

        Example:
            >>> import treering
            >>> threads = treering.memory().threads
            >>> thread = threads.start("review", prompt="Is it right?", key="ticket-812")
            >>> threads.get("ticket-812") == thread
            True
        """
        args = start_args(
            workflow, prompt, key, parameters, labels, max_rounds, workflow_hash, parent_state, steps, command_id
        )
        core: ThreadCore = yield self._home.threads.start(args)
        return self._family.Thread(self._home, core)

    @verb
    def get_or_start(
        self,
        workflow: str,
        *,
        prompt: object = None,
        key: str | None = None,
        parameters: Mapping[str, object] | None = None,
        labels: Mapping[str, object] | None = None,
        max_rounds: int | None = None,
        workflow_hash: str | None = None,
        parent_state: Cid | None = None,
        steps: Iterable[StepLike] = (),
        command_id: str | None = None,
    ) -> Op[Thread]:
        """Returns the thread of that key, started if there was none; the other arguments are for that.

        Errors:
            As `start`, without AlreadyExists.
        """
        args = start_args(
            workflow, prompt, key, parameters, labels, max_rounds, workflow_hash, parent_state, steps, command_id
        )
        found: tuple[ThreadCore, bool] = yield self._home.threads.get_or_start(args)
        return self._family.Thread(self._home, found[0])

    @read
    def get(self, id_or_key: str) -> Thread:
        """Returns the thread of an id, of the beginning of an id (≥ 4 characters, unique) or of a key.

        Errors:
            NotFound (`not-found`): there is none.
            Ambiguous (`ambiguous`): several ids begin so; `candidates`.
            Invalid (`invalid`): it can be neither an id nor a key.
            Corrupt (`corrupt`): the thread is there, and its record can't be read.
        """
        return self._family.Thread(self._home, self._home.threads.get(id_or_key))

    @read
    def history(self, day: date | str | None = None) -> list[Thread]:
        """Returns the threads completed or cancelled on a UTC day, None for all days; the oldest first."""
        return self._listed(self._home.threads.list(None, None, _day(day), None, False))

    @read
    def list(
        self,
        *,
        status: Status | None = None,
        workflow: str | None = None,
        day: date | str | None = None,
        labels: Mapping[str, object] | None = None,
        active: bool | None = None,
    ) -> list[Thread]:
        """Returns the threads that meet all conditions, the oldest first; O(threads of the scope).

        `day` is the UTC day of completion, a date or `YYYY-MM-DD`. `labels` must all be there with
        equal values. `active` says whether it is neither completed nor cancelled. A thread whose record
        is broken is listed with the status `corrupt` and hides no other. A listed thread is opened at
        its first use.

        Errors:
            Invalid (`invalid`): no such status, or no such day.
        """
        return self._listed(self._home.threads.list(status, workflow, _day(day), labels, active))

    def _listed(self, rows: Iterable[Mapping[str, Any]]) -> Listing:
        return [self._family.Thread(self._home, None, cast(Seen, row)) for row in rows]

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_threads, (self._family, self._home.portable("Threads"))

    def __repr__(self) -> str:
        return f"<Threads of {self._home.scope} in {self._home.session.name}>"


def start_args(
    workflow: str,
    prompt: object,
    key: str | None,
    parameters: Mapping[str, object] | None,
    labels: Mapping[str, object] | None,
    max_rounds: int | None,
    workflow_hash: str | None,
    parent_state: Cid | None,
    steps: Iterable[StepLike],
    command_id: str | None,
) -> dict[str, Any]:
    """Returns the arguments of a start in the core's terms."""
    return {
        "workflow": workflow,
        "prompt": prompt,
        "key": key,
        "parameters": parameters,
        "labels": labels,
        "max_rounds": max_rounds,
        "workflow_hash": workflow_hash,
        "parent_state": parent_state,
        "depth": 0,
        "steps": [step_args(step) for step in steps],
        "command_id": command_id,
    }


def _day(day: date | str | None) -> str | None:
    if day is None or isinstance(day, date):
        return None if day is None else day.isoformat()[:10]
    try:
        date.fromisoformat(day)
    except ValueError:
        raise Invalid(
            f"day {day!r} is not valid: it is a day of the calendar, YYYY-MM-DD", what="day", value=day
        ) from None
    return day


def reopen_threads(family: Family, address: Address) -> Threads:
    """Opens pickled threads."""
    return family.Threads(address.open())


SYNC.Threads = Threads
