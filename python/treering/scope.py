"""A scope: the unit of isolation and of transaction. Nothing but blocks is shared between scopes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from treering._calls import Chunks, Op, read, stream, verb, waits, writes
from treering._core import Cid, discard_fork, fork_scope
from treering._family import SYNC, Family
from treering._session import Address, Durability, Home, home
from treering.backup import Progress
from treering.backup import finish as finished
from treering.blocks import Blocks
from treering.commit import Commit
from treering.erasure import Erased, erase
from treering.errors import Invalid
from treering.forks import Lineage, lineage_of
from treering.holds import Hold, held, take
from treering.interchange import (
    Exported,
    Imported,
    OnConflict,
    Watcher,
    Writable,
    export_threads,
    import_archive,
)
from treering.own.handle import OwnActor
from treering.own.rules import Actor, Command, Event, State
from treering.pins import Pins
from treering.projections import Projection, ProjectionInfo, View
from treering.projections import listed as listed_projections
from treering.scope_diff import ScopeDiff, diff_of
from treering.scope_history import ScopeEvent, newest_first
from treering.scope_verify import ScopeVerifyReport, verified
from treering.stores.actor import ActorHandle, listed
from treering.stores.info import ActorInfo
from treering.stores.of_scope import ScopeStores
from treering.stores.trimming import ScopeTrimmed, trim
from treering.thread import Thread
from treering.threads import Threads
from treering.workspace import Workspace

if TYPE_CHECKING:
    from treering.past_scope import PastScope


class Scope(ScopeStores):
    """One scope of a store, made by `store.scope(name)`. Making one writes nothing."""

    __slots__ = ("_home",)

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def _whose(self) -> Home:
        return self._home

    @property
    def name(self) -> str:
        """The scope's name."""
        return self._home.scope

    @property
    def durability(self) -> Durability:
        """What the commits made through this object outlive."""
        return self._home.durability

    @property
    def threads(self) -> Threads:
        """The threads of this scope."""
        return self._family.Threads(self._home)

    @property
    def pins(self) -> Pins:
        """The pins of this scope."""
        return self._family.Pins(self._home)

    @property
    def blocks(self) -> Blocks:
        """The blocks of the store; what is put here is booked on this scope."""
        return self._family.Blocks(self._home.session, self.name, self._home.durability)

    def on_behalf_of(self, principal: str | None, *, causation_id: str | None = None) -> Scope:
        """Returns the same scope; the events of what is written through it say on whose behalf, and what led to it.

        Nothing is decided by it. At most 256 bytes each; None says nothing.
        """
        return self._family.Scope(replace(self._home, principal=principal, causation_id=causation_id))

    def with_workspace(self, workspace: Workspace | None) -> Scope:
        """Returns the same scope; the drafts of its `connectors` and `roles` are mirrored to that workspace after
        each commit through it, and `import_local` reads there. None mirrors nothing, as at first. Nothing is read or
        written.

        A workspace has one file for each kind of draft: it is that of the scope which comes first, and stays so until
        the draft is deleted. For another scope a receipt's `warnings` says so.

        Example:
            >>> import pathlib, tempfile, treering
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> alice = treering.memory().scope("alice").with_workspace(treering.LocalWorkspace(folder))
            >>> alice.roles.save_draft(treering.messages.Role(id="coder")).warnings
            ()
            >>> [file.name for file in folder.iterdir()]
            ['roles_draft.json']
        """
        if workspace is not None and not isinstance(workspace, Workspace):
            raise Invalid(f"with_workspace: {workspace!r} is no workspace; LocalWorkspace(path) is one of a folder")
        return self._family.Scope(replace(self._home, workspace=workspace))

    def actor(self, kind: str, *parts: str) -> ActorHandle:
        """Returns any actor of this scope, there or not: its state, its history, and whether it is sound.

        >>> import treering
        >>> alice = treering.memory().scope("alice")
        >>> _ = alice.memory.add("preference", "answers in French")
        >>> memory = alice.actor("user-memory")
        >>> [event.type for event in memory.history()], memory.verify()
        (['treering.v1.MemoryEntryAdded'], 1)
        """
        return self._family.ActorHandle(self._home, kind, parts)

    def own(self, actor: type[Actor[State, Command, Event]], *parts: str) -> OwnActor[State, Command, Event]:
        """Returns an actor of your own of this scope, there or not: `scope.own(Ticket, "T-1")`.

        Errors:
            Invalid (`invalid`): the class is none, or a part is blank.
            LimitExceeded (`limit-exceeded`): over 1,024 bytes of kind and parts, escaped.
        """
        made: OwnActor[State, Command, Event] = self._family.OwnActor(self._home, actor, parts)
        return made

    @stream
    def actors(self) -> Chunks[ActorInfo]:
        """Returns where each actor of this scope stands, deleted ones too, by kind and parts; an iterator. One block is
        read for each."""
        yield from listed(self._home.stores)

    @stream
    def history(self) -> Chunks[ScopeEvent]:
        """Returns what happened in this scope, in the order of commits, the newest first: events of actors, and what
        became of threads, keys, pins and projections. An iterator, to be left when there is enough.

        Of actors it has the events that are kept, those too that a fork or an import brought, at their times; what was
        cut off is not told. All else it has from the journal: since the fork or the import, and as far as the
        journal is kept. Where it isn't, an entry says so, `expired`, and only actors are told of from there.
        O(commits of the store that it goes back) and O(log events) reads for each few; an actor is read
        once its turn comes, all of them where the journal ends.

        Errors:
            Corrupt (`corrupt`): an actor can't be read (`actors` says which), or a commit of the journal.

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> alice.threads.start("hello").append("coder", "done").number
            1
            >>> [(happened.kind, happened.change) for happened in alice.history()]
            [('thread', 'moved'), ('thread', 'created'), ('user-memory', 'event')]
        """
        yield from newest_first(self._home)

    def projection(
        self,
        name: str,
        *,
        of: Scope | Iterable[Scope] | None = None,
        kinds: Iterable[str | type[Actor[Any, Any, Any]]] = (),
        start: View | None = None,
    ) -> Projection[View]:
        """Returns the projection of that name, there or not: a view in this scope that follows actors.

        `of` are the scopes whose actors it follows, of the same store, None for this one; `kinds` those of the actors:
        `user-memory`, `chat`, `x.ticket`, …, or the class of an actor of your own, whose events then come as it has
        them, else as dicts of their fields; without any it can be read and deleted. `start` is the view before the
        first event.

        Errors:
            Invalid (`invalid`): the name is blank, a kind unknown, a scope of another store, `start` no node.
            LimitExceeded (`limit-exceeded`): a name over 1,024 bytes, escaped.

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> facts = alice.projection("facts", kinds=["user-memory"], start=0)
            >>> facts.catch_up(lambda view, event, commit: view + 1).events
            1
            >>> facts.get().value
            1
        """
        scopes = [self] if of is None else [of] if isinstance(of, Scope | type(self)) else list(of)
        if isinstance(kinds, str):
            raise Invalid(f"kinds {kinds!r} is one text: give a list of them, kinds=[{kinds!r}]")
        for scope in scopes:
            if not isinstance(scope, Scope | type(self)):  # a caller without a type checker
                raise TypeError(f"of takes scopes, as store.scope(name) gives them, not {scope!r}")
            if not scope._home.session.same_store(self._home.session):
                raise Invalid(f"{scope!r} is of another store; a projection follows scopes of its own")
        names = tuple(dict.fromkeys(scope.name for scope in scopes))
        made: Projection[View] = self._family.Projection(self._home, name, names, tuple(kinds), start)
        return made

    @stream
    def projections(self) -> Chunks[ProjectionInfo]:
        """Returns where each projection of this scope stands, by name; an iterator. Two blocks are read for each."""
        yield from listed_projections(self._home.stores)

    @read
    @writes
    def hold(self, cid: Cid | str, hours: float = 24.0) -> Hold:
        """Returns the scope's hold of a block that is there, durable: for `hours` from now, or longer if it
        was held for longer. It keeps the block and all that it links to.

        Errors:
            NotFound (`not-found`): the block is not here.
            Ambiguous (`ambiguous`), Invalid (`invalid`): a text that names no single block; `hours` is not
            within 0 … 100 years.
        """
        return take(self._family, self._home.session, self.name, cid, hours)

    @stream
    def holds(self) -> Chunks[Hold]:
        """Returns the scope's holds in the order in which their blocks were put; an iterator.

        One that has ended is listed until a collection removes it. O(holds of all scopes).
        """
        yield from held(self._family, self._home.session, self.name)

    @verb
    def trim(
        self,
        *,
        keep: int | None = None,
        before: datetime | None = None,
        younger_than: timedelta | None = None,
        dry_run: bool = False,
    ) -> Op[ScopeTrimmed]:
        """Returns what was cut off of the histories of all actors of the scope, by its retention policy; with `dry_run`
        what would be. Where no policy was set (`retention`) all is kept, and nothing happens.

        Or by what is said, this once: `keep` the newest so many events of each actor (0: only what it is), those
        `younger_than` an age, or `before` a moment (with its zone): what each was then can still be asked, as can what
        came after. What the actors are stays. One commit for each actor that has something to cut off; one that can't
        be trimmed is named, and keeps no other from it. Cut short, the same call again goes on. A policy that is
        replaced meanwhile holds from then on. Threads have no history that can be cut off: their steps are what they
        are. The blocks go with the next `Store.gc`. For good. O(actors), and O(what is kept) of those that are trimmed.

        Errors:
            Invalid (`invalid`): more than one of `keep`, `before` and `younger_than`, a time without a zone, no age.
            NewerSchema (`newer-schema`): a later version of treering set the policy, and it may keep more.
            Corrupt (`corrupt`): the policy can't be read.
            Unavailable (`unavailable`): the store can't be written; those before are trimmed.

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> for number in range(10):
            ...     _ = alice.memory.add("context", f"fact {number}")
            >>> alice.trim(keep=3).dropped, len(alice.memory.get())
            (7, 10)
            >>> _ = alice.retention.set(keep=2)
            >>> alice.trim().dropped
            1
        """
        return (yield from trim(self._home, keep, before, younger_than, dry_run))

    @read
    @writes
    def erase(self, command_id: str | None = None, *, dry_run: bool = False) -> Erased:
        """Returns what was erased: the whole scope, for good, durable. With `dry_run` what would be.

        Every thread, actor, pin and projection of the scope goes, with its keys, holds, leases and command receipts,
        and what its commits say in the journal: their digests stay, so `verify` proves the journal as before. A read
        sees the scope whole or not at all; a listing that is under way has what it read before. The name may be used
        again, and old command ids are new then. Blocks go with the next `Store.gc`, but for those that other scopes
        reach: `held_by` names them. `Store.vacuum` then gives back what is left in free room. Through a scope
        `with_workspace`, mirrors of its drafts there go too; one that can't be removed is in `warnings`. What was
        copied elsewhere (another store, an exported file) is not touched; a backup follows when it is brought up to
        date. A note stays, without the name: `Store.erasures`.

        The same `command_id` again erases nothing and answers as the first did, also where the name is used again. One
        that is interrupted is finished by the next erase, vacuum or opening; until then the scope takes no commit
        (`Conflict`). O(journal + blocks); others wait for a moment at a time, however many refs the scope has.

        Errors:
            Corrupt (`corrupt`): a ref, receipt, hold, commit or link can't be read, or a sealed file of the journal
                has lost its row, so that nobody knows whether it is the scope's: nothing was changed. Or it was damaged
                after the erase began: the scope is gone, and the rest goes once it is mended.
            LockTimeout (`lock-timeout`): a backup copies files, or another erase or a seal is at work. The message
                says whether the scope is gone, and the rest waits for the next.
            DiskFull (`disk-full`), Unavailable (`unavailable`): the message says so, too: do not erase it again if the
                scope is gone, its name may be in use by then.
            Conflict (`conflict`): another erase of the scope, without this command id, began in the same moment.
            LimitExceeded (`limit-exceeded`), Invalid (`invalid`): of the command id.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> alice = store.scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> alice.erase().refs, store.scopes()
            (1, [])
        """
        return erase(self._home, command_id, dry_run)

    def commit(self, command_id: str | None = None) -> Commit:
        """Returns a context manager: what is done through it is written in one commit, or not at all.

        With a `command_id` the whole is safe to repeat: the second time writes nothing and answers as
        the first did. An exception inside the block writes nothing.

        Errors:
            On leaving the block, those of what was done in it, and CommandMismatch
            (`command-mismatch`): the command id came before, with something else.

        Example:
            >>> import treering
            >>> scope = treering.memory().scope("alice")
            >>> thread = scope.threads.start("review")
            >>> with scope.commit(command_id="turn-1") as c:
            ...     _ = c.threads[thread].append("coder", "done")
            ...     _ = c.threads.start("follow-up", key="next")
            >>> c.receipt.replayed
            False
        """
        return self._family.Commit(self._home, command_id)

    @read
    @writes
    def fork(
        self, name: str, *, command_id: str | None = None, progress: Callable[[Progress], None] | None = None
    ) -> Scope:
        """Returns a new scope that has all that this one has at this moment: threads, keys, pins, stores, read models,
        projections. From then on each goes its own way. Durable as this scope's commits are.

        No block is written or read: a scope of up to 10,000 refs is forked in one commit, O(refs). More are copied in
        several, to a scope that nobody sees and nobody can write to before the last one; others write meanwhile, and
        the fork is this scope as it is at that last commit. What was cut short is seen by nobody: the same fork again
        goes on with it, one of another scope to that name begins anew, and `discard_fork` clears it away.

        Thread ids, versions of actors and command ids stay: a command that was done here before the fork is answered
        there too, and one that is done here later is unknown there. Leases, holds and what is in quarantine stay
        behind. A projection of this scope's own actors goes on there with that scope's; one that follows other scopes
        is one of two from then on. `progress` is called about twenty times a second, by the thread that waits.

        Errors:
            NotFound (`not-found`): nothing was written to this scope, or all of it is gone; `scope`.
            AlreadyExists (`already-exists`): `name` has refs, was forked of something before, or has receipts of
                commands that were done there; `scope`.
            Invalid (`invalid`): the name can't be, or is this scope's.
            LimitExceeded (`limit-exceeded`): a ref's name is too long there; 64 forks of forks.
            LeaseHeld (`lease-held`): somebody makes that scope just now.
            Conflict (`conflict`): this scope itself is being made by a fork, or is erased meanwhile.
            CommandMismatch (`command-mismatch`): the command id came before in `name`, with another origin.
            Corrupt (`corrupt`): a ref of this scope is broken.

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> trial = alice.fork("alice-trial")
            >>> _ = trial.memory.clear()
            >>> len(alice.memory.get()), len(trial.memory.get())
            (1, 0)
        """
        finished(fork_scope(self._home.stores, name, command_id), progress)
        there = home(self._home.session, name, self._home.durability)
        causation = self._home.causation_id
        return self._family.Scope(replace(there, principal=self._home.principal, causation_id=causation))

    @read
    def at(self, moment: datetime | str) -> PastScope:
        """Returns this scope as it was at a moment (with its zone), or after the commit of a journal cursor: its
        threads, stores, pins and projections are read as ever, and whatever writes raises `ReadOnly`.

        It is the state after the newest commit of the store that is not later; a moment to come is now. What was
        collected since is listed in `gone` (a deleted thread, an actor whose history was cut off behind that moment),
        and raises `HistoryTrimmed` where it is asked for; nothing is kept by looking at it, so a collection may take
        more meanwhile. Before an erase there was nothing. O(commits that are kept of the journal), and of actors that
        were cut off since O(their events from then to the next cut); states are folded from the logs, O(events) where
        their snapshot of then is gone.

        Errors:
            CursorExpired (`cursor-expired`): the moment is from before what is kept of the journal; `oldest_at_ms` is
            the earliest that can be asked for. A backup of that time, restored elsewhere, has it.
            CursorLost (`cursor-lost`): the cursor is not one of this store.
            Invalid (`invalid`): a time without a zone.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> alice = store.scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> before = list(store.journal())[-1].cursor
            >>> _ = alice.memory.clear()
            >>> [entry.content for entry in alice.at(before).memory.get()]
            ['answers in French']
        """
        return self._family.PastScope(self._home, moment)

    @read
    def diff(self, other: Scope) -> ScopeDiff:
        """Returns what tells this scope from another one of the same store: what only one has, and where threads and
        actors went apart. Either may be a scope as it was, of `at`.

        Read models are left out: they are made of the logs. O(refs of both); nothing that is the same costs a block,
        of what differs the newest entries are read, and O(log n) to the last that is common.

        Errors:
            Invalid (`invalid`): `other` is of another store.
            Corrupt (`corrupt`): a ref, or a block that is needed, can't be read.

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> trial = alice.fork("trial")
            >>> _ = trial.memory.clear()
            >>> print(alice.diff(trial))
            ~ user-memory: 1 here, 2 there; common: 1
            0 the same
        """
        if not isinstance(
            other, Scope | self._family.Scope | self._family.PastScope
        ):  # a caller without a type checker
            raise TypeError(f"diff takes a scope, as store.scope(name) gives it, not {other!r}")
        if not self._home.session.origin.same_store(other._home.session.origin):
            raise Invalid(f"{other!r} is of another store: nothing tells what the two have in common")
        return diff_of(self._home.stores, other._home.stores)

    @read
    @waits
    def verify(self) -> ScopeVerifyReport:
        """Returns what of this scope was checked, and what is wrong; true if nothing is.

        Every block that its refs reach is hashed again; steps, jumps and records of threads, every event, read models
        (against what the events make) and projections are checked. Whatever is wrong is a finding, and hides no
        other. `store.verify` checks rows and journal too, and all scopes. O(blocks reached).

        Example:
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> _ = alice.memory.add("preference", "answers in French")
            >>> print(alice.verify())
            ok: 1 refs, 1 blocks, 0 threads, 0 steps, 1 actors, 1 events, 0 projections
        """
        return verified(self._home.stores)

    @read
    def lineage(self) -> Lineage | None:
        """Returns what this scope was forked of, and when; None if it was not.

        Errors:
            Corrupt (`corrupt`): what the fork left can't be read.
        """
        return lineage_of(self._home.stores)

    @read
    @writes
    def discard_fork(self) -> int:
        """Returns how many refs were cleared away of a fork to this name that was cut short; `store.unfinished_forks`
        lists them. Nothing else is touched: a fork that is finished is a scope like any other.

        Errors:
            Invalid (`invalid`): no fork to this name is unfinished.
            LeaseHeld (`lease-held`): somebody makes it just now.
        """
        return discard_fork(self._home.stores)

    @read
    @writes
    def export(
        self,
        file: str | os.PathLike[str] | Writable,
        threads: Iterable[Thread | str] | None = None,
        *,
        progress: Watcher | None = None,
    ) -> Exported:
        """Returns what was written to a CAR file: the whole scope, or `threads` alone, and all that they reach.

        The whole scope is its threads, every store and actor of your own with their history, files, projections with
        what they have seen, pins, and command receipts; no leases and holds, nothing in quarantine, no lineage.
        `file` is a path, where the file appears when all of it is on disk, or an open binary file. `threads`
        are threads, ids or keys. The file is the state at one moment, whatever is written meanwhile. The same state
        gives the same bytes. Of a scope as it was (`at`), it is what that shows. `progress` is called with the blocks
        written so far and None, at the end with both. Large files are read piece by piece. O(blocks reached), some 100
        bytes of memory for each, and all refs and receipts.

        Errors:
            NotFound (`not-found`): there is no such thread.
            Corrupt (`corrupt`): a ref, a record or a block can't be read.
            Conflict (`conflict`): the scope is being made by a fork or an import.
            HistoryTrimmed (`history-trimmed`): of the scope as it was something is gone, so that it can't be whole.
            Unavailable (`unavailable`): the file can't be written, or something of that name is there.

        Example:
            >>> import io, treering
            >>> scope = treering.memory().scope("alice")
            >>> _ = scope.memory.add("preference", "answers in French")
            >>> file = io.BytesIO()
            >>> made = scope.export(file)
            >>> made.actors, made.blocks
            (1, 1)
        """
        return export_threads(self._home, threads, file, progress)

    @read
    @writes
    def import_car(
        self, path: str | os.PathLike[str], *, on_conflict: OnConflict = "refuse", progress: Watcher | None = None
    ) -> Imported:
        """Returns what was made of a CAR file that `export` wrote, of a whole scope or of threads; durable.

        Every block is hashed, every chain and every actor's log followed, and every read model compared with what
        its events make, before the first block is written. Then all refs come at once, for every reader: in one commit,
        or, where they are more than 10,000, into a scope that has none and that nobody sees before the last of them.
        (Threads alone come one by one, each whole.) What is here as it is in the file is left alone, so the same file
        again writes nothing.

        What is here and in the file, and not the same: of a whole scope's file a thread, an actor or a projection goes
        on if all that it is here stands in the file's. Else it is in the way, and the import is refused. For a
        thread, its key or a pin `on_conflict` says more: `rename` gives it another id or name, `skip` leaves it
        out. What is here and went on otherwise is never changed.

        A repeated command id answers as it did before the export, if the scope and the thread's id are the same.
        `progress` is called with bytes read, of twice the file's; with all of them before the first ref is written, and
        not again: what it raises ends the import, and nothing of it is seen. Only import files that you trust: what
        they say happened, happened.

        Errors:
            Invalid (`invalid`): it is no such file, or not whole, or it says what its blocks don't.
            AlreadyExists (`already-exists`): a thread or key is in the way; `thread`, `key`.
            Diverged (`diverged`): an actor, projection or pin is in the way; `refs`.
            LimitExceeded (`limit-exceeded`): over 10,000 refs for a scope that has some: import into another one.
            Conflict (`conflict`), LeaseHeld (`lease-held`): the scope is being made, or erased.
            Unavailable (`unavailable`): the file can't be read, or the store not be written.

        Example:
            >>> import pathlib, tempfile, treering
            >>> there, here = treering.memory().scope("alice"), treering.memory().scope("alice")
            >>> _ = there.memory.add("preference", "answers in French")
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "alice.car"
            >>> _ = there.export(path)
            >>> here.import_car(path).actors, here.memory.get()[0].content
            (1, 'answers in French')
            >>> here.import_car(path).changed
            False
        """
        return import_archive(self._home, path, on_conflict, progress)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._home.same_scope(other._home)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_scope, (self._family, self._home.portable("a Scope"))

    def __repr__(self) -> str:
        return f"<Scope {self.name} of {self._home.session.name}>"


def reopen_scope(family: Family, address: Address) -> Scope:
    """Opens a pickled scope."""
    return family.Scope(address.open())


SYNC.Scope = Scope
