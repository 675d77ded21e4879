"""States of one's own actors: folded of what is stored, and remembered by the head of the log that they are of.

Promises: a state is the fold of the events that are kept, whatever was remembered; what is remembered counts only for
just that log. Reads a snapshot and at most 16 events, or all events where no snapshot is of these rules.
Never: a state is stored, as a snapshot or as what history begins with, by rules that did not know all that it is of:
others would lose what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, NamedTuple, TypeVar

from treering._core import Cid, OwnCommandCore, OwnCore, OwnLoadedCore
from treering._session import Home
from treering.codec import encode
from treering.errors import Corrupt, HistoryTrimmed, NewerSchema, NotFound, TreeringError
from treering.map import Map
from treering.own.classes import note_class
from treering.own.rules import Actor, Rules, rules_of
from treering.own.shapes import Opener
from treering.vector import Vector

State = TypeVar("State")
T = TypeVar("T")

SNAPSHOT_EVENTS: Final = 16
"""Events after which the state is stored."""
_TRIES: Final = 8


class Known(NamedTuple, Generic[State]):
    """A folded state, and which log it is of. A named tuple: some are made for each command."""

    state: State
    version: int
    at_ms: int | None
    snapshot: int
    """Version of the newest state that is stored and that these rules made."""
    shown: OwnLoadedCore | OwnCommandCore
    """What it was folded of, or the command that it is the state after."""
    head: Cid | None
    basis: Cid | None
    """The snapshot that its collections hang on."""
    newest_fold: int
    """The fold of the newest state that is stored, whoever made it; 0 if there is none."""
    unknown: str | None
    """What these rules did not know of what it was folded of; None: they knew all."""
    is_borrowed: bool = False
    """Whether its collections may still be read from where somebody else had them: they came with an event."""


class Folder:
    """One actor's log, and the rules to fold it."""

    def __init__(self, home: Home, core: OwnCore, rules: Rules, parts: tuple[str, ...]) -> None:
        self.home = home
        self.core = core
        self.rules = rules
        self.parts = parts
        self.opener: Opener = self._open

    def now(self, known: Known[Any] | None = None) -> Known[Any]:
        """Returns the actor as it is; `known`: what is remembered of it."""
        return self._steadily(lambda: self.folded(self.core.load(None), known))

    def at(self, version: int) -> Known[Any]:
        """Returns the actor as it was at a version."""
        return self._steadily(lambda: self.folded(self.core.load(version), None))

    def again(self, loaded: OwnLoadedCore) -> Known[Any]:
        """Returns what was loaded, folded; read once more if it was collected meanwhile."""
        try:
            return self.folded(loaded, None)
        except (NotFound, Corrupt):
            return self.at(loaded.version)

    def _steadily(self, read: Callable[[], T]) -> T:
        # Blocks may be collected, or cut off, between two reads: then there is another log to read.
        seen: object = None
        for left in reversed(range(_TRIES)):
            try:
                return read()
            except (NotFound, Corrupt, HistoryTrimmed):
                now = self.core.load(None)
                before, seen = seen, (now.head, now.basis)
                if not left or before == seen:
                    raise
        raise AssertionError

    def _open(self, kind: type, root: Cid) -> Map[Any] | Vector[Any]:
        session = self.home.session
        found: Map[Any] | Vector[Any] = kind(session.core.map(root) if kind is Map else session.core.vector(root))
        found._session = session
        return found

    def folded(self, loaded: OwnLoadedCore, known: Known[Any] | None) -> Known[Any]:
        """Returns what was loaded, folded; from what is known, if that is of the same log."""
        rules = self.rules
        start, since = loaded.start, loaded.since
        newest_fold = 0 if start is None else start[2]
        safe = known is not None and (not rules.state.has_collections or known.basis == loaded.basis)
        if known is not None and safe and known.head == loaded.head and known.version == loaded.version:
            return known._replace(at_ms=loaded.at_ms, shown=loaded, basis=loaded.basis, newest_fold=newest_fold)
        # A state where history begins is all that there is, whoever made it.
        if start is not None and start[0] != loaded.base and (start[2], start[3]) != (rules.fold, rules.schema):
            start, since = self.core.beginning(loaded), None
        unknown: str | None = None
        if start is None:
            state, version, snapshot = rules.initial(), loaded.base, loaded.base
        else:
            version, entry, _, schema, fields = start
            snapshot = version
            if known is not None and safe and since is not None and _leads_to(known, version, entry, since):
                state, version, unknown = known.state, known.version, known.unknown
            else:
                unknown = rules.unknown_state(schema, fields)
                state = rules.read_state(schema, fields, self.opener)
        if since is None:
            rows: Iterable[Any] = self._pages(version + 1, loaded.version)
        else:
            rows = since
        for number, _, type_name, schema, fields in rows:
            if number > version:
                unknown = unknown or rules.unknown_event(type_name, schema, fields)
                event = rules.read_event(type_name, schema, fields, self.opener)
                state, version = self.evolved(state, event, number), number
        if version != loaded.version:
            raise Corrupt(
                f"{rules.kind} is corrupt: its events end with version {version}, its log with {loaded.version}",
                what="actor",
                which=rules.kind,
            )
        return Known(state, version, loaded.at_ms, snapshot, loaded, loaded.head, loaded.basis, newest_fold, unknown)

    def from_events(self, loaded: OwnLoadedCore) -> Known[Any]:
        """Returns what was loaded, folded of where history begins and the events alone."""
        rules = self.rules
        start = self.core.beginning(loaded)
        unknown = None if start is None else rules.unknown_state(start[3], start[4])
        state = rules.initial() if start is None else rules.read_state(start[3], start[4], self.opener)
        for number, _, type_name, schema, fields in self._pages(loaded.base + 1, loaded.version):
            unknown = unknown or rules.unknown_event(type_name, schema, fields)
            state = self.evolved(state, rules.read_event(type_name, schema, fields, self.opener), number)
        fold = 0 if start is None else start[2]
        return Known(state, loaded.version, loaded.at_ms, loaded.base, loaded, loaded.head, loaded.basis, fold, unknown)

    def may_store(self, known: Known[Any]) -> bool:
        """Whether a state may be stored for all who have the class: not by rules that did not know all that it is of,
        nor in the place of one that later rules made."""
        return known.unknown is None and known.newest_fold <= self.rules.fold

    def verify_snapshot(self) -> None:
        """Compares the newest snapshot with what the events before it make.

        Errors:
            Corrupt (`corrupt`): they make something else.
        """
        rules = self.rules
        start = self.core.load(None).start
        # What other rules made, or who knows more of the events, is not what these rules make.
        if start is None or (start[2], start[3]) != (rules.fold, rules.schema):
            return
        then = self.from_events(self.core.load(start[0]))
        if then.unknown is not None or rules.unknown_state(start[3], start[4]) is not None:
            return
        # As it is read: a field that it lacks has its default.
        stored = rules.put_state(rules.read_state(start[3], start[4], self.opener))
        if encode(stored) != encode(rules.put_state(then.state)):
            raise Corrupt(
                f"{rules.kind}/{'/'.join(self.parts)} is corrupt at version {start[0]}: its snapshot is not what the "
                f"events make; if {rules.name}.evolve was changed, count {rules.name}.fold up, else rebuild it",
                what="actor",
                which="/".join((self.home.scope, rules.kind, *self.parts)),
                version=start[0],
            )

    def rebuild(self) -> int:
        """Makes the newest snapshot anew, of the events alone."""
        while True:
            loaded = self.core.load(None)
            if loaded.head is None or loaded.version == loaded.base:
                return loaded.version
            self._expect_known(loaded)
            known = self.from_events(loaded)
            self._expect_all_known(known)
            if self.core.put_model(loaded.head, loaded.version, self.folded_for_store(known.state)):
                return loaded.version

    def at_start(self, loaded: OwnLoadedCore | None) -> tuple[int, str, int, dict[str, Any]] | None:
        """Returns the state where a trim lets history begin, as it is stored.

        Errors:
            NewerSchema (`newer-schema`): the log holds what a later version of the class wrote.
        """
        # What is newer than that says, too, that there are later versions of the class.
        newest = self.core.load(None)
        self._expect_known(newest)
        if loaded is None:
            return None
        known = self.folded(loaded, None)
        self._expect_all_known(known)
        fold = max(known.newest_fold, 0 if newest.start is None else newest.start[2])
        if fold > self.rules.fold:
            raise self._newer(
                f"its newest state was made by fold {fold}, {self.rules.name} has {self.rules.fold}: what it does not "
                "fold would be lost with the events; use the class that does, or rebuild() the actor first if this one "
                "is to stay",
                fold,
                self.rules.fold,
            )
        return self.folded_for_store(known.state)

    def _expect_all_known(self, known: Known[Any]) -> None:
        if known.unknown is not None:
            schema, name = self.rules.schema, self.rules.name
            raise self._newer(
                f"{name} does not know {known.unknown}, and would lose what it did; use the class that wrote it, or if "
                f"it was left out on purpose, count {name}.schema up",
                schema,
                schema,
            )

    def _newer(self, why: str, found: int, supported: int) -> NewerSchema:
        which = "/".join((self.rules.kind, *self.parts))
        return NewerSchema(f"{which}: {why}", actor=self.rules.kind, found=found, supported=supported)

    def _expect_known(self, loaded: OwnLoadedCore) -> None:
        rules = self.rules
        if loaded.schema > rules.schema:
            raise self._newer(
                f"it was written with schema {loaded.schema}, {rules.name} has {rules.schema}: who does not know all "
                "events would lose what they did",
                loaded.schema,
                rules.schema,
            )

    def shown(self, type_name: str, schema: int, fields: Any) -> Any:
        """Returns an event as the class has it; one that it does not know as its fields."""
        event = self.rules.read_event(type_name, schema, fields, self.opener)
        return fields if event is None else event

    def evolved(self, state: Any, event: Any, version: int) -> Any:
        if event is None:
            return state
        try:
            return self.rules.evolve(state, event)
        except Exception as error:
            error.add_note(f"{self.rules.name}.evolve, version {version} of {self.rules.kind}/{'/'.join(self.parts)}")
            raise

    def _pages(self, first: int, last: int) -> Iterator[Any]:
        while first <= last:
            rows = self.home.stores.events(self.rules.kind, self.parts, first, last)
            if not rows:
                return
            for row in rows:
                yield row["version"], row["cid"], row["type"], row["schema"], row["message"]
            first = rows[-1]["version"] + 1

    def at_home(self, known: Known[Any]) -> Known[Any]:
        """Returns the same, folded of what this store has now: its collections may have come from another one, that is
        closed one day, or collects them."""
        try:
            return self.at(known.version)
        except TreeringError:
            # It is written, and the next read says what is wrong.
            return known

    def folded_for_store(self, state: Any) -> tuple[int, str, int, dict[str, Any]]:
        """Returns a state as a snapshot holds it."""
        rules = self.rules
        return rules.fold, rules.state_type, rules.schema, rules.put_state(state)


def _leads_to(known: Known[Any], version: int, entry: Cid | None, since: Iterable[Any]) -> bool:
    """Whether what is known is of the log that has that entry, and those events behind it."""
    if known.version == version:
        return known.head == entry
    return any(number == known.version and cid == known.head for number, cid, *_ in since)


def folder_of(home: Home, actor: type[Actor[Any, Any, Any]], parts: tuple[str, ...]) -> Folder:
    """Returns what folds one actor."""
    rules = rules_of(actor)
    note_class(home.session, actor)
    return Folder(home, OwnCore(home.stores, rules.kind, parts), rules, parts)
