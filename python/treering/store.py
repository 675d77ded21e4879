"""A store: blocks, scopes and the journal of a directory, or of memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb, waits, writes
from treering._core import Cid
from treering._core import repair as repair_rows
from treering._deciding import expect_none
from treering._family import SYNC, Family
from treering._session import Durability, Location, Session, home, memory_session, open_session
from treering.backup import BackupReport, CopyReport, Progress, back_up, finish, path_text
from treering.blocks import Blocks
from treering.erasure import Erasure, Vacuumed, notes, vacuumed, write_notes
from treering.errors import Closed, Invalid
from treering.forks import UnfinishedFork, unfinished
from treering.gc import GcReport
from treering.holds import Hold, held, take
from treering.journal import (
    ExpireReport,
    JournalEntry,
    JournalExtent,
    SealReport,
    entry,
    extent,
    moment,
)
from treering.refs import Refs
from treering.scope import Scope
from treering.scoped import Resolving, Scoped
from treering.settings import Settings, checked
from treering.step import StepPlace
from treering.stores.trimming import ScopeTrimmed, trim_all
from treering.threads import Threads
from treering.verify import Finding, Repair, VerifyReport

MAIN: Final = "main"
"""The scope of `store.threads`."""

_CHUNK: Final = 500


class Reachable(NamedTuple):
    """What can be reached from some roots: `present` in the order of the walk, and what is `missing`."""

    present: list[Cid]
    missing: list[Cid]


class Store:
    """An open store. `treering.open` and `treering.memory` make one.

    `with` is optional: a store is closed when nothing of it is used any more, and at the end of the
    process. All of it may be used from any thread; not in a child of `os.fork()`, which opens its own.
    """

    __slots__ = ("__weakref__", "_session")

    _family: ClassVar[Family] = SYNC

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def threads(self) -> Threads:
        """The threads of the scope `main`."""
        return self.scope(MAIN).threads

    @property
    def blocks(self) -> Blocks:
        """The blocks of the store."""
        return self._family.Blocks(self._session, MAIN, self._session.durability)

    def scope(self, name: str, durability: Durability | None = None) -> Scope:
        """Returns a scope, new or not; nothing is written until something is done in it.

        `durability` is that of its commits, None for that of the store.

        Errors:
            Invalid (`invalid`): the name can't be.
        """
        durability = self._session.durability if durability is None else durability
        return self._family.Scope(home(self._session, name, durability))

    def scoped(self, resolver: Callable[[], str], durability: Durability | None = None) -> Scoped:
        """Returns the stores of whichever scope `resolver` names when a call is made: that of a web request, of a
        context variable. It is called once for each call, and its errors are the caller's.

        Example:
            >>> import contextvars, treering
            >>> tenant = contextvars.ContextVar("tenant")
            >>> memory = treering.memory().scoped(tenant.get).memory
            >>> _ = tenant.set("alice")
            >>> _ = memory.add("preference", "answers in French")
            >>> _ = tenant.set("bob")
            >>> list(memory.get())
            []
        """
        durability = self._session.durability if durability is None else durability
        return self._family.Scoped(Resolving(self._session, resolver, durability))

    @verb
    def put(self, data: bytes) -> Op[Cid]:
        """Returns the CID of these bytes, durable; short for `store.blocks.put`."""
        cid: Cid = yield lambda: self._session.core.put(data, MAIN, self._session.durability)
        return cid

    @read
    def scopes(self) -> list[str]:
        """Returns the names of the scopes that hold something, in order."""
        return self._session.core.scopes()

    @read
    def unfinished_forks(self) -> list[UnfinishedFork]:
        """Returns forks of whole scopes that are under way or were cut short, by name. O(refs of the store).

        Nobody sees their scopes, but they keep blocks as every ref does: the same fork again finishes one,
        `store.scope(name).discard_fork()` clears it away.
        """
        return unfinished(home(self._session, MAIN, self._session.durability).stores)

    @read
    def reachable(self, roots: Iterable[Cid]) -> Reachable:
        """Returns all blocks that the roots lead to, the roots included, each once.

        A block that is not there is reported as missing, never dropped. O(blocks reached).
        """
        return Reachable(*self._session.core.reachable(list(roots)))

    @stream
    def journal(self, after: str | None = None) -> Chunks[JournalEntry]:
        """Returns the commits after a cursor, None for all that are kept, the oldest first; an iterator that ends.

        Errors:
            CursorLost (`cursor-lost`): the cursor is not one of this store.
            CursorExpired (`cursor-expired`): what came after it is not kept any more.
        """
        while rows := self._session.core.journal(after, _CHUNK):
            yield [entry(row) for row in rows]
            after = rows[-1]["cursor"]

    @read
    def journal_extent(self) -> JournalExtent:
        """Returns what of the journal is kept: from which commit on, and in which sealed files. O(files)."""
        return extent(self._session.core.journal_extent())

    @read
    @writes
    def seal_journal(self, keep: int = 10_000) -> SealReport:
        """Returns what was moved out of the database into immutable, checked, compressed files, durable.

        The newest `keep` commits stay where they are, at least one. Nothing is lost: sealed commits are
        read by `journal` and proved by `verify` as before. A file holds up to 4,096 commits; others write
        between two files. In memory nothing happens. O(commits sealed).

        Errors:
            Corrupt (`corrupt`): a commit does not follow from the one before it.
            DiskFull (`disk-full`): no room for the file; what was sealed before stays sealed.
        """
        return SealReport(*self._session.core.seal_journal(keep))

    @read
    @writes
    def expire_journal(self, before: datetime | str) -> ExpireReport:
        """Returns what was deleted: sealed files, the oldest first, with nothing in them from `before` on.

        `before` is a time (with its zone), or a cursor: commits up to there are given up. Readers with a cursor
        from there get `CursorExpired`; `verify` proves what is left. Commits that are not sealed stay; in
        memory all but the newest may go. There is no way back. O(files).

        Errors:
            CursorLost (`cursor-lost`): the cursor is not one of this store.
            Invalid (`invalid`): a time without a zone, or a text that is no cursor.
        """
        return ExpireReport(*self._session.core.expire_journal(moment(before)))

    @read
    @writes
    def give_up_commit(self, position: int) -> None:
        """Gives up a commit whose body is lost: what it did is not known any more, but that it was, and when.

        Its digest stays in its place, so that the chain proves all other commits as before, and sealing, backups and
        readers, which stop at damage, go on behind it. `journal` gives it as `blank`. Refs, receipts and blocks
        are left as they are. There is no way back but a backup. Durable.

        Errors:
            Invalid (`invalid`): it can be read or mended, is sealed (`expire_journal` gives up whole files) or
                absent, or its digest and chain are damaged, too.
        """
        self._session.core.give_up_commit(position)

    @verb
    def trim(self, *, dry_run: bool = False) -> Op[tuple[ScopeTrimmed, ...]]:
        """Returns what was cut off of each scope's histories, by its own retention policy, by the scopes' names; with
        `dry_run` what would be. Scopes without a policy keep all: their reports are empty.

        Each is trimmed as by `Scope.trim`. One that can't be says why in `failed`, and keeps no other from it. Cut
        short, the same call again goes on. O(actors of scopes that have a policy).

        Errors:
            Unavailable (`unavailable`): the store can't be written; those before are trimmed.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> for name in ("alice", "bob"):
            ...     _ = store.scope(name).memory.add("context", "one"), store.scope(name).memory.add("context", "two")
            >>> _ = store.scope("bob").retention.set(keep=1)
            >>> [(done.scope, done.dropped) for done in store.trim()]
            [('alice', 0), ('bob', 1)]
        """
        return (yield from trim_all(self._session, dry_run))

    @read
    @writes
    def vacuum(self) -> Vacuumed:
        """Returns what was given back: free pages go to the system, and the log is emptied, durable.

        After `gc`, nothing of what was deleted is in the store's files then, if the answer is `complete` (true).
        What others keep it from is in the answer: the log can't be emptied while another process reads from it. Others
        write meanwhile; each piece holds the write lock for some milliseconds. It finishes erases that were cut
        short. In memory nothing happens. O(free pages).

        Errors:
            Unavailable (`unavailable`): the disk fails; ReadOnly (`read-only`).

        Example:
            >>> import treering
            >>> bool(treering.memory().vacuum())
            True
        """
        return vacuumed(self._session.core)

    @read
    def erasures(self, scope: str | None = None) -> tuple[Erasure, ...]:
        """Returns the notes of scopes that were erased, the oldest first; those of one name, if it is given.

        A note has no name: who knows a name can ask for it. O(notes).

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> _ = store.scope("alice").erase()
            >>> len(store.erasures()), len(store.erasures("alice")), len(store.erasures("bob"))
            (1, 1, 0)
        """
        return notes(self._session.core, scope)

    @read
    @writes
    def export_erasures(self, path: str | os.PathLike[str]) -> None:
        """Writes these notes to a file, for `treering.restore(…, erasures=path)` where this store is gone by then.

        The file appears whole; one that is there is replaced.

        Errors:
            Unavailable (`unavailable`): it can't be written.
        """
        write_notes(self._session.core, path)

    @feed
    def watch(self, after: str | None = None) -> Feed[JournalEntry]:
        """Returns the commits after a cursor, then each new one as it comes, of any process; no end.

        None is before the oldest commit that is kept; `store.cursor()` is after the newest. It ends when this
        store is closed. A commit is given as soon as it is there, one whose process died meanwhile within 5 s;
        in between nothing runs.

        Errors:
            As `journal`; Closed (`closed`): the store was closed before.
        """
        core = self._session.core
        # Before the journal is read, so that no commit falls between the two.
        watch = core.watch()
        while True:
            try:
                rows = core.journal(after, _CHUNK)
            except Closed:
                return
            if rows:
                after = rows[-1]["cursor"]
                yield [entry(row) for row in rows]
            else:
                yield watch

    @read
    def cursor(self) -> str:
        """Returns the place behind the newest commit, opaque; for `journal` and `watch`."""
        return self._session.core.cursor()

    @read
    def head(self) -> str:
        """Returns the journal's head, opaque: write it down elsewhere, `verify(since=…)` proves it.

        It is a hash over all commits so far.
        """
        return self._session.core.head()

    @property
    def refs(self) -> Refs:
        """The refs of the store as rows, and the quarantine for broken ones."""
        return self._family.Refs(self._session)

    @read
    @waits
    def verify(self, since: str | None = None, *, repair: bool = False) -> VerifyReport:
        """Returns what was checked and what is wrong; reads everything, changes nothing unless told to repair.

        Every block is hashed again; links, jumps, step numbers, refs, records, receipts and the
        journal's chain are checked. `since` is a `head()` of before: the journal up to there must be
        what it was then; a head from before what is kept is a finding, since it can't be proved.

        `repair` mends what the journal, other rows and hashes prove, each round in one durable commit, and
        looks again: `repairs` says what was done, `findings` what is left, each with its `advice`. Nothing
        is ever guessed, and nothing that can be read is deleted. `docs/repair.md` says what to do then.

        Errors:
            Invalid (`invalid`): `since` is no head.
            Unavailable (`unavailable`): a repair could not be written; that round has changed nothing.
            BucketError (`bucket`): the bucket with the large blocks does not answer, so nothing is said of any.
        """
        if repair:
            expect_none("Store.verify(repair=True)")
        core = self._session.core
        mended = repair_rows(core) if repair else {}
        found = dict(core.verify(since)) if since is not None or not repair else dict(mended)
        advice = {(f["check"], f["which"]): f["advice"] for f in mended.get("findings", ())}
        findings = tuple(
            Finding(
                f["check"],
                f["which"],
                f["detail"],
                tuple(StepPlace(*place) for place in f["threads"]),
                advice.get((f["check"], f["which"]), ""),
            )
            for f in found.pop("findings")
        )
        found.pop("repairs", None)
        repairs = tuple(Repair(*made) for made in mended.get("repairs", ()))
        return VerifyReport(findings=findings, repairs=repairs, **found)

    @read
    @writes
    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        staging: str | os.PathLike[str] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> BackupReport:
        """Returns what was copied: the store, as it is at one moment, into a directory of its own.

        The directory is absent, empty, or holds an earlier backup of this store, to which only what came
        since is added. Other threads and processes go on writing. All that is copied is read again and
        checked before it counts, the whole backup if `verify` is true. What fails half-way leaves the
        backup of before, or a directory that can't be opened. A backup opens like a store, for reading
        only; `treering.restore` makes a store of it. Leases are not in it.

        `path` may be the URL of a place in a bucket, `s3://BUCKET/PREFIX?…`, as for `open(blobs=…)`. The backup is made
        in the directory `staging` then, and what the bucket lacks of it is sent. A staging directory that is kept
        makes the next backup read what is new alone; without one a temporary directory takes the whole store.

        `progress` is called about twenty times a second, by the thread that waits. O(store) the first time,
        then O(what is new), and O(store) more to verify all. A `fork` in another thread waits.

        Errors:
            Invalid (`invalid`): the directory or the prefix holds something else, the store is in memory, this
            process has `staging` open, or another backup was made at the URL meanwhile.
            BucketError (`bucket`): the bucket can't be reached or refuses; the backup of before is whole.
            Diverged (`diverged`): the backup there is of another store, or this one does not continue its
            past.
            Corrupt (`corrupt`): the store, or the backup, is not sound; `verify` says where.
            LockTimeout (`lock-timeout`): another backup into the directory took too long.
            DiskFull (`disk-full`), Unavailable (`unavailable`): the copy can't be written, or not read back.

        Example:
            >>> import tempfile, treering
            >>> with tempfile.TemporaryDirectory() as home, treering.open(f"{home}/state") as store:
            ...     _ = store.threads.start("hello")
            ...     first = store.backup(f"{home}/backup")
            ...     _ = store.threads.start("again")
            ...     second = store.backup(f"{home}/backup")
            >>> first.incremental, second.incremental, second.commits
            (False, True, 1)
        """
        return back_up(self._session.core, path, staging, verify, progress)

    @read
    @writes
    def copy_to(
        self,
        target: Store,
        *,
        rename: Mapping[str, str] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> CopyReport:
        """Returns what was copied into another store: every ref with its record, and all it reaches.

        What is there already is not copied again: a copy that was cut short is finished by the next one, and
        a finished one is brought up to date. `rename` gives scopes another name in the target. Refs that are
        removed here are not removed there. Versions count anew, and command receipts stay behind
        (`receipts_left`): a command id that was used here is new there. `progress` is called about twenty
        times a second, by the thread that waits.

        Errors:
            Diverged (`diverged`): a ref of the target stands where this store's never stood; nothing was
            written. `refs` names some: rename their scope.
            Invalid (`invalid`): there is no scope of a name in `rename`, or two would become one.
            Corrupt (`corrupt`): a ref or block of this store is broken.
            NotFound (`not-found`), VersionConflict (`version-conflict`): a store was changed meanwhile in a
            way that needs another run; what was copied stays.

        Example:
            >>> import treering
            >>> store, other = treering.memory(), treering.memory()
            >>> _ = store.threads.start("hello")
            >>> store.copy_to(other).refs_new, store.copy_to(other).refs_new
            (1, 0)
        """
        work = self._session.core.copy_to(target._session.core, dict(rename or {}))
        return CopyReport(**finish(work, progress))

    @read
    @writes
    def gc(self, dry_run: bool = False) -> GcReport:
        """Returns what was collected: blocks that no ref and no hold reaches become absent and are deleted.

        Writers go on meanwhile, here and in other processes; what they put, hold, link to or move refs to
        stays. With `dry_run` nothing is changed and the report says what would go. Stopping it anywhere
        (Ctrl-C, a crash) leaves a whole store; the next one does the rest. O(blocks + links).

        Errors:
            Corrupt (`corrupt`): a row that it rests on is broken; nothing was collected.
            ReadOnly (`read-only`): not with `dry_run`.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> thread = store.threads.start("try")
            >>> _ = thread.append("coder", "a dead end")
            >>> thread.rm()
            >>> report = store.gc()
            >>> report.deleted, report.reachable
            (3, 0)
        """
        return GcReport(**self._session.core.gc(dry_run))

    @read
    @writes
    def hold(self, cid: Cid | str, hours: float = 24.0) -> Hold:
        """Returns the hold of a block in the scope `main`; short for `store.scope("main").hold`.

        Errors:
            As `Scope.hold`.
        """
        return take(self._family, self._session, MAIN, cid, hours)

    @stream
    def holds(self) -> Chunks[Hold]:
        """Returns the holds of the scope `main`, as `Scope.holds` does; an iterator."""
        yield from held(self._family, self._session, MAIN)

    @read
    def stats(self) -> dict[str, int]:
        """Returns what is in the store, by name: blocks, their bytes, refs, commits, garbage, bytes on disk.

        `docs/reference.md` lists the names. O(blocks): it counts rows and pages.
        """
        return self._session.core.stats()

    def counters(self) -> dict[str, int]:
        """Returns what this process has read and written through the store so far, by name; exact."""
        return self._session.core.counters()

    @property
    def blobs(self) -> str | None:
        """Where the large blocks are: the URL of a bucket; None for the store's directory, or memory."""
        return self._session.core.blobs

    @property
    def path(self) -> str | None:
        """The store's directory; None for a store in memory."""
        location = self._session.location
        return None if location is None else location.path

    @property
    def closed(self) -> bool:
        """Whether this object was closed."""
        return self._session.closed

    @read
    @waits
    def close(self) -> None:
        """Returns nothing; what was queued is written, everything later raises `Closed`."""
        self._session.close()

    def __enter__(self) -> Store:
        return self

    @read
    @waits
    def __exit__(self, *_: object) -> None:
        self._session.close()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._session.same_store(other._session)

    def __hash__(self) -> int:
        return hash(self._session.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_store, (self._family, self._session.portable("a Store"))

    def __repr__(self) -> str:
        return f"<Store {self._session.name}{' (closed)' if self.closed else ''}>"


def reopen_store(family: Family, location: Location) -> Store:
    """Opens a pickled store."""
    return family.Store(open_session(location, create=False))


def location_of(
    path: str | os.PathLike[str],
    read_only: bool,
    durability: Durability,
    lock_wait_s: float,
    automatic_gc: bool,
    reserve_bytes: int,
    settings: Settings | None,
    blobs: str | None = None,
) -> Location:
    """Returns the checked arguments of an open."""
    text = path_text(path)
    if durability not in ("durable", "relaxed"):
        raise Invalid(f"durability {durability!r} is not one of durable, relaxed")
    if not 0 <= lock_wait_s <= 86_400:
        raise Invalid(f"lock_wait_s {lock_wait_s!r} is not within 0 … 86400 s")
    lock_wait_ms = round(lock_wait_s * 1000)
    return Location(text, read_only, durability, lock_wait_ms, automatic_gc, reserve_bytes, checked(settings), blobs)


def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    read_only: bool = False,
    durability: Durability = "durable",
    lock_wait_s: float = 30.0,
    automatic_gc: bool = True,
    reserve_bytes: int = 16 << 20,
    repair: bool = False,
    settings: Settings | None = None,
    blobs: str | None = None,
) -> Store:
    """Returns the store of a directory; the directory is made if it is absent and `create` is true.

    `durability` is what an answered commit outlives: `durable` a power failure, `relaxed` only a killed
    process. `lock_wait_s` is how long a commit waits for other processes that write. With `automatic_gc` a
    thread in the background collects garbage when there is much of it, at most hourly and never in a writer's
    way. `reserve_bytes` is the size of a file that is kept so that deletions succeed on a full disk, 0 for
    none. Opening a directory twice in a process is fine; the first opening decides about `automatic_gc` and
    `reserve_bytes`. `repair` first mends the store's own rows (its format, its totals …): with one of them
    broken it is refused otherwise; `verify(repair=True)` mends everything else. `settings` are this handle's limits and
    defaults of the built-in stores (None: `Settings()`).

    `blobs` makes a store whose large blocks (256 KiB and more: files, attachments, artifacts) lie in a bucket of an
    S3-compatible server: `s3://BUCKET/PREFIX?endpoint=…&region=…`, with credentials from the environment; `docs/s3.md`
    has every option. The store remembers the URL: give it once, or the same. A prefix is one store's.

    Errors:
        Invalid (`invalid`): the directory holds other files and is no store, or it is absent or empty and
            `create` is false; nothing was written. `blobs` is no URL of a bucket, not the store's, or another store's,
            something else lies there, or there are no credentials.
        BucketError (`bucket`): the store is made now, and the bucket can't be reached or refuses.
        NewerFormat (`newer-format`): a later treering wrote it.
        Corrupt (`corrupt`): one of the store's own rows is broken; try `repair=True`.
        Unavailable (`unavailable`): the system does not let us, or it is a network file system.

    Example:
        >>> import tempfile, treering
        >>> with tempfile.TemporaryDirectory() as home, treering.open(f"{home}/state") as store:
        ...     thread = store.threads.start("hello")
        ...     len(thread)
        0
    """
    expect_none("treering.open")
    location = location_of(path, read_only, durability, lock_wait_s, automatic_gc, reserve_bytes, settings, blobs)
    return SYNC.Store(open_session(location, create=create, mend=repair))


def memory(*, settings: Settings | None = None) -> Store:
    """Returns a new store in memory: the same as one in a directory, gone when it is closed."""
    return SYNC.Store(memory_session(checked(settings)))


SYNC.Store = Store
