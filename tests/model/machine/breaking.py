"""Damage that is planted on purpose, with SQLite, while nobody has the store open: what is mended, what is given up."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from expected import Expected, ok
from hypothesis.stateful import precondition, rule

from machine.drawn import PICK, PLAYER
from machine.moving import Moving

T = TypeVar("T")
# Of longer ones a repair does not try all.
FLIPPED_BYTES_MAX = 4096


class Breaking(Moving):
    """Rules about damage that leaves all threads what they are."""

    def hurt(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Closes all players, since another SQLite in a process that has the store open would undo its locks, lets
        rows be changed behind the store's back, and opens it again; call `come_back` then."""
        for player in range(3):
            ok(self.call(player, "close"))
        for thread in self.threads.values():
            thread.leased_by = None
        with closing(sqlite3.connect(self.home / "state" / "store.db")) as database, database:
            changed = change(database)
        for player in range(3):
            ok(self.call(player, "open", str(self.home / "state")))
        return changed

    def come_back(self) -> None:
        """Each handle is taken again, of the threads that there are."""
        self.handles = [handle for handle in self.handles if not handle.thread.removed]
        for handle in self.handles:
            thread = handle.thread
            found, handle.seen = ok(self.call(handle.player, "get", handle.h, thread.scope, thread.id))
            assert found == thread.id
            assert handle.seen == len(thread.steps)
        if not self.handles:
            thread, h = self.there()[0], self.number()
            _, seen = ok(self.call(0, "get", h, thread.scope, thread.id))
            self.hold(0, h, thread, seen)

    def some(self, pick: int) -> Expected:
        there = self.there()
        return there[pick % len(there)]

    @rule(player=PLAYER)
    def repair(self, player: int) -> None:
        """Nothing was broken."""
        assert ok(self.call(player, "repair")) == ([], [])

    @precondition(lambda self: not self.in_memory)
    @rule(player=PLAYER, pick=PICK)
    def mend_a_ref(self, player: int, pick: int) -> None:
        """A ref's row that does not match its check is written anew, from what the journal says last."""
        thread = self.some(pick)
        moves = ok(self.call(player, "moves", thread.ref))
        if not moves or moves[-1][0] != thread.version:
            return  # the journal does not tell it any more
        self.hurt(lambda rows: one(rows, "UPDATE ref SET version = version + 1 WHERE name = ?", thread.ref))
        assert ok(self.call(player, "verify")) != []
        mended, left = ok(self.call(player, "repair"))
        assert mended != []
        assert left == []
        self.come_back()

    @precondition(lambda self: not self.in_memory)
    @rule(player=PLAYER, pick=PICK, which=PICK, at=PICK)
    def mend_a_byte(self, player: int, pick: int, which: int, at: int) -> None:
        """One byte of a block is wrong: of all changes of one byte just one gives its CID."""
        blocks, _ = ok(self.call(player, "reachable", [ok(self.call(player, "refs"))[self.some(pick).ref][1]]))
        cid = blocks[which % len(blocks)]
        before = ok(self.call(player, "block", cid))
        if not self.hurt(lambda rows: flip(rows, cid, at)):
            self.come_back()
            return
        assert self.call(player, "block", cid).error == "corrupt"
        mended, left = ok(self.call(player, "repair"))
        assert mended != []
        assert left == []
        assert ok(self.call(player, "block", cid)) == before
        self.come_back()

    @precondition(lambda self: not self.in_memory)
    @rule(player=PLAYER, pick=PICK)
    def give_up_a_commit(self, player: int, pick: int) -> None:
        """A commit whose body is lost: what it did is not told any more, and is as it was."""
        first, last, sealed = self.extent(player)
        rows = [n for n in range(max(first, sealed + 1), last + 1) if n not in self.blanks]
        if not rows:
            return
        lost = rows[pick % len(rows)]
        assert self.call(player, "give_up", lost).error == "invalid"
        zeros = "UPDATE journal SET body = zeroblob(length(body)) WHERE position = ?"
        self.hurt(lambda rows: one(rows, zeros, lost))
        assert ok(self.call(player, "verify")) != []
        mended, left = ok(self.call(player, "repair"))
        assert mended == []
        assert left != []
        for position in (first - 1, last + 1, *(n for n in rows if n != lost)):
            assert self.call(player, "give_up", position).error == "invalid"
        ok(self.call(player, "give_up", lost))
        assert ok(self.call(player, "verify")) == []
        self.blanks.append(lost)
        self.start_backups_anew()
        self.come_back()


def one(rows: sqlite3.Connection, sql: str, *values: Any) -> None:
    """A statement that changes one row."""
    assert rows.execute(sql, values).rowcount == 1, sql


def flip(rows: sqlite3.Connection, cid: Any, at: int) -> bool:
    """Whether a bit of the block's bytes is the other way now; those of a long one, or in a file, stay."""
    ((payload,),) = rows.execute("SELECT payload FROM block WHERE digest = ?", (cid.digest,))
    if payload is None or not 0 < len(payload) <= FLIPPED_BYTES_MAX:
        return False
    at %= len(payload)
    wrong = payload[:at] + bytes([payload[at] ^ 0x10]) + payload[at + 1 :]
    one(rows, "UPDATE block SET payload = ? WHERE digest = ?", wrong, cid.digest)
    return True
