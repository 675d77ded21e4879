"""Imports old data: finds the files, takes them in an order in which each finds what it needs, and reports.

Promises: the source is only read; a file that can't be taken never keeps another out; importing again writes nothing; a
killed import is finished by running it again. Nothing that is in the scope is overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias
from urllib.parse import unquote

from treering._family import SYNC
from treering.errors import Invalid, TreeringError
from treering.importing.agents import import_agents
from treering.importing.catalogs import import_catalog
from treering.importing.chats import import_chat, read_index
from treering.importing.config import import_config
from treering.importing.contents import Contents, beside
from treering.importing.finding import THREAD_ENDING, Found, find
from treering.importing.forks import fork_of, origins_first
from treering.importing.logs import ForkFrom, LogStep, read_log
from treering.importing.memories import import_memory
from treering.importing.report import FileReport, ImportReport, Kind, Notes, Outcome, Refused, shown
from treering.importing.source import open_file, read_document, read_lines
from treering.importing.target import Done, Target
from treering.importing.threads import bring, check, thread_of
from treering.interchange import Watcher
from treering.messages import Conversation
from treering.scope import Scope
from treering.strict_json import is_text

_Take: TypeAlias = Callable[[BinaryIO, Notes], Done]
#: Config and registries before conversations, conversations before threads.
_ORDER: Final[tuple[Kind, ...]] = (
    "config", "actors", "memory", "connectors", "roles", "chat-index", "chat", "thread",
)  # fmt: skip


def import_json(
    scope: Scope,
    path: str | os.PathLike[str],
    *,
    kind: Kind | None = None,
    contents: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    progress: Watcher | None = None,
) -> ImportReport:
    """Returns what was taken of a file, or of all files of a folder, that a system of JSON files left: `config.json`,
    `actors.json`, `user-memory.json`, a folder `chat-histories`, and `*.data.jsonl` of threads.

    Each file is taken whole or item by item, as its sort says; what can't be taken is in the report, with its place and
    reason, and the file stays as it is. What the scope has is never overwritten. The same again writes nothing.
    `kind` says what a file holds whose name does not; of a folder it can only be `chat`. `contents` is the folder where
    thread logs have their contents by hash; None looks for `content` and `cas` beside them, and beside their folders
    where these are in the one that is given. With `dry_run` nothing is
    written and the report is of what would be. `progress` is called after each file with how many are done, and of how
    many. O(bytes of the files); of a document all is held in memory, of a log what one commit takes.

    Errors:
        OSError: there is no such path.
        Invalid (`invalid`): the scope is of an async store, or nothing says what a single file holds; no such kind.
        Unavailable (`unavailable`) and what is below it: the store failed. What was taken by then stays; repeat it.
    """
    if getattr(scope, "_family", SYNC) is not SYNC:
        raise Invalid(
            "old data goes into a scope of a sync store: open one beside the async one, on the same directory, and "
            "call this by `asyncio.to_thread`"
        )
    root = Path(path)
    root.stat()
    if kind is not None and kind not in _ORDER:
        raise Invalid(f"no kind {kind!r} of files; there are {', '.join(_ORDER)}", what="kind", value=str(kind))
    return _Import(Target(scope, dry_run), root, None if contents is None else Path(contents), progress).run(kind)


class _Import:
    def __init__(self, target: Target, root: Path, contents: Path | None, progress: Watcher | None) -> None:
        self._target = target
        self._root = root
        self._contents = contents
        self._progress = progress
        #: Ids of thread logs that were refused.
        self._refused: set[str] = set()
        #: In a dry run: ids of logs that others were forked from, and the scope in memory where the new of them are.
        self._origins: set[str] = set()
        self._planned = target

    def run(self, kind: Kind | None) -> ImportReport:
        found = list(find(self._root, kind))
        reports: list[FileReport] = []
        with self._target.scratch() as scratch:
            self._planned = Target(scratch.scope(self._target.scope.name), False)
            for report in self._all(found):
                reports.append(report)
                if self._progress is not None:
                    self._progress(len(reports), len(found))
        return ImportReport(scope=self._target.scope.name, dry_run=self._target.dry_run, files=tuple(reports))

    def _all(self, found: list[Found]) -> Iterator[FileReport]:
        by_kind: dict[Kind, list[Found]] = {kind: [] for kind in _ORDER}
        for one in found:
            if one.skipped is not None or one.kind is None:
                notes = Notes()
                notes.left_out("$", one.skipped or "its name is not known")
                yield _report(one, Done("skipped", 0), notes)
            else:
                by_kind[one.kind].append(one)
        for kind in ("config", "actors", "memory", "connectors", "roles"):
            for one in by_kind[kind]:
                yield self._take(one, self._document(one, kind))
        chats = sorted((*by_kind["chat-index"], *by_kind["chat"]), key=lambda one: one.path.parent)
        for _, folder in groupby(chats, key=lambda one: one.path.parent):
            yield from self._chats(list(folder))
        yield from self._threads(by_kind["thread"])

    def _take(self, found: Found, take: _Take) -> FileReport:
        notes = Notes()
        try:
            with open_file(found.path, follow=found.follow) as file:
                done = take(file, notes)
        except Refused as refused:
            notes.take(refused)
            done = Done("refused", 0)
        except Invalid as error:
            notes.refused("$", str(error))
            done = Done("refused", 0)
        except TreeringError:
            raise
        except OSError as error:
            notes.refused("$", f"it can't be read: {error.strerror}")
            done = Done("refused", 0)
        return _report(found, done, notes)

    def _document(self, found: Found, kind: Kind) -> _Take:
        def take(file: BinaryIO, notes: Notes) -> Done:
            document = read_document(file)
            match kind:
                case "config":
                    return import_config(self._target, document, notes)
                case "actors":
                    return import_agents(self._target, document, notes)
                case "memory":
                    return import_memory(self._target, document, notes)
                case "connectors" | "roles":
                    return import_catalog(self._target, kind, file, document, notes)
                case _:
                    raise AssertionError(f"{kind} is no document of its own")

        return take

    def _chats(self, files: list[Found]) -> Iterator[FileReport]:
        """The conversations of a folder, then its index, which has nothing but what they took of it."""
        rows: dict[str, Conversation] = {}
        refused: set[str] = set()

        def read(file: BinaryIO, notes: Notes) -> Done:
            found, bad = read_index(read_document(file), notes)
            rows.update(found)
            refused.update(bad)
            return Done("there", 0)

        indexes = [(one, self._take(one, read)) for one in files if one.kind == "chat-index"]
        broken = any(report.outcome == "refused" for _, report in indexes)
        outcomes: set[Outcome] = set()
        for one in (one for one in files if one.kind == "chat"):
            stem = one.path.name.rpartition(".")[0]
            known = rows.keys() | refused
            name = stem if stem in known or unquote(stem) not in known else unquote(stem)
            row = rows.pop(name, None)
            why = None
            if broken or name in refused:
                # Taken without its row it would be there, and could not be mended.
                why = "its index was refused" if broken else "its row in the index was refused"
            report = self._take(one, self._chat(one, name, row, bool(indexes), why))
            outcomes.add(report.outcome)
            yield report
        for one, index in indexes:
            yield self._rest_of_index(one, index, rows, outcomes)

    def _chat(self, found: Found, name: str, row: Conversation | None, has_index: bool, why: str | None) -> _Take:
        def take(file: BinaryIO, notes: Notes) -> Done:
            if why is not None:
                raise Refused("$", why)
            if not is_text(name):
                # Bytes that are no UTF-8 stand in a name as what no text can hold.
                raise Refused("$", "the name of the file is no UTF-8: an id is made of it")
            if row is None and has_index:
                notes.changed("$", "the index has no row for it: what is known of it is what its messages say")
            lines = found.path.name.endswith(".jsonl")
            document: Any = read_lines(file) if lines else read_document(file)
            return import_chat(self._target, name, row, document, lines, notes)

        return take

    def _rest_of_index(
        self, found: Found, index: FileReport, rows: dict[str, Conversation], outcomes: set[Outcome]
    ) -> FileReport:
        """The rows that no file was found for: a conversation without messages is one all the same. `outcomes` are
        those of the files that were; an index is as new as they are."""
        if index.outcome == "refused":
            return index
        notes = Notes.of(index.notes)
        new = 0
        for row in rows.values():
            if row.message_count:
                reason = f"no file of the {row.message_count} messages of {shown(row.id)} is beside it"
                notes.refused("$", reason)
                outcomes.add("refused")
                continue
            try:
                outcomes.add(outcome := import_chat(self._target, row.id, row, [], False, notes).outcome)
                new += outcome == "new"
            except Refused as refused:
                outcomes.add("refused")
                notes.take(refused)
        best: Outcome = next((one for one in ("new", "there", "refused") if one in outcomes), "there")
        return _report(found, Done(best, new), notes)

    def _threads(self, files: list[Found]) -> Iterator[FileReport]:
        logs: dict[str, list[Found]] = {}
        forks: dict[str, ForkFrom | None] = {}
        for one in files:

            def first_line(file: BinaryIO, _: Notes, one: Found = one) -> Done:
                start = read_log(file, Contents(()), Notes()).start
                logs.setdefault(start.thread_id, []).append(one)
                forks.setdefault(start.thread_id, start.fork_from)
                return Done("there", 0)

            report = self._take(one, first_line)
            if report.outcome == "refused":
                # Such files are called after their threads: forks of it wait until it is mended.
                self._refused.add(one.path.name.removesuffix(THREAD_ENDING))
                yield report
        if self._target.dry_run:
            self._origins = {fork.thread_id for fork in forks.values() if fork is not None}
        for thread_id, counts in origins_first(forks):
            for one in logs[thread_id]:
                report = self._take(one, self._log(one, counts))
                if report.outcome == "refused" and thread_of(self._target.scope, thread_id) is None:
                    self._refused.add(thread_id)
                yield report

    def _log(self, found: Found, fork_counts: bool) -> _Take:
        contents = Contents(beside(found.path, self._root) if self._contents is None else (self._contents,))

        def take(file: BinaryIO, notes: Notes) -> Done:
            whole = check(self._target.scope, read_log(file, contents, notes))
            fork, planned, said = None, False, whole.start.fork_from
            if said is not None and not fork_counts:
                notes.changed("$.forkFrom", "it leads back to this log: a thread of its own", 1)
            elif said is not None and said.thread_id in self._refused:
                raise Refused("$.forkFrom", f"its origin {said.thread_id} was refused: it would be no fork", 1)
            elif said is not None:
                planned = thread_of(self._planned.scope, said.thread_id) is not None
                fork = fork_of(self._planned if planned else self._target, whole, notes)

            def steps() -> Iterable[LogStep]:
                if len(whole.first) == whole.steps:
                    return whole.first
                file.seek(0)
                # What was appended meanwhile is of the next import.
                return islice(read_log(file, contents, Notes()).steps, whole.steps)

            done = bring(self._target, whole, steps(), fork, notes)
            if done.outcome == "new" and whole.start.thread_id in self._origins:
                bring(self._planned, whole, steps(), fork if planned else None, Notes())
            return done

        return take


def _report(found: Found, done: Done, notes: Notes) -> FileReport:
    # What was not taken now was not changed either.
    said = [note for note in notes.all() if done.outcome == "new" or note.what != "changed"]
    return FileReport(path=found.name, kind=found.kind, outcome=done.outcome, taken=done.taken, notes=tuple(said))
