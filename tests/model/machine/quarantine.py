"""Blocks that are gone for good: what leads to them goes into quarantine, and comes back whole or cut, or is given up.

Promises that are held against the store: nothing but what leads to the lost block goes; nothing that could be read is
lost by it, whatever is collected meanwhile; with the block put again all is as it was.
"""

import sqlite3
from contextlib import closing
from typing import Any

from expected import Entry, Expected, ok, right
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from machine.breaking import Breaking, one
from machine.drawn import HOUR_MS, PICK, PLAYER, SCOPES


class Quarantine(Breaking):
    """Rules about what is lost."""

    @rule(player=PLAYER, pick=PICK)
    def quarantine_nothing(self, player: int, pick: int) -> None:
        """Nothing is wrong with any ref, so none is taken away."""
        thread = self.pick(pick).thread
        answer = self.call(player, "quarantine", thread.ref)
        right(answer, {"not-found": thread.removed, "invalid": not thread.removed})

    @precondition(lambda self: not self.in_memory)
    @rule(player=PLAYER, pick=PICK, which=PICK, graph_too=st.booleans())
    def lose_a_block(self, player: int, pick: int, which: int, graph_too: bool) -> None:
        """Any block of a thread. `graph_too`: also the row with its links is gone."""
        refs = ok(self.call(player, "refs"))
        blocks, _ = ok(self.call(player, "reachable", [refs[self.some(pick).ref][1]]))
        victim = blocks[which % len(blocks)]
        broken = [name for name, (_, target) in refs.items() if self.leads_to(player, target, victim)]
        threads = [thread for thread in self.there() if thread.ref in broken]
        alone = [name for name in broken if name.split("/")[1] == "thread-failed" and not belongs(name, threads)]
        if alone or any(name.split("/")[1] == "quarantine" for name in broken):
            return  # a failure whose thread is whole, an entry: not played
        data = ok(self.call(player, "block", victim))
        whole = {name: self.last_whole(player, name, victim) for name in broken}
        for scope, cid in [hold for hold in self.holds if self.leads_to(player, hold[1], victim)]:
            assert ok(self.call(player, "unhold", scope, cid))
            del self.holds[scope, cid]
        if not self.hurt(lambda rows: lose(rows, victim, graph_too)):
            self.come_back()
            return  # its file proves its row
        assert ok(self.call(player, "verify")) != []
        assert ok(self.call(player, "repair"))[1] != []
        if graph_too:
            # Nothing says any more what it links to, so nothing can say what is garbage.
            assert self.call(player, "gc", False).error == "corrupt"
        for name in sorted(broken, key=lambda name: (name.split("/")[1] != "thread", name)):
            if any(name in entry.told["refs"] for entry in self.entries.values()):
                continue  # came along
            self.put_away(player, name, refs, whole, Entry("", {}, [], {}, (victim, data)))
        ok(self.call(player, "gc", False))
        assert ok(self.call(player, "verify")) == []
        if not self.there():
            self.add_thread(player, SCOPES[0])
        self.backup_after_loss(player, victim)
        self.come_back()

    def backup_after_loss(self, player: int, victim: Any) -> None:
        """A backup that has what the store lost is left as it is, for it to be taken from there."""
        if self.backed_up is None:
            return
        before = self.backup_path() / "store.db"
        with closing(sqlite3.connect(f"file:{before}?mode=ro", uri=True)) as rows:
            has_it = rows.execute("SELECT 1 FROM block WHERE digest = ?", (victim.digest,)).fetchall() != []
        answer = self.call(player, "backup", str(self.backup_path()))
        if right(answer, {"invalid": has_it}):
            return
        assert str(victim) in answer.text
        self.start_backups_anew()

    def leads_to(self, player: int, root: Any, victim: Any) -> bool:
        present, missing = ok(self.call(player, "reachable", [root]))
        return victim in present or victim in missing

    def last_whole(self, player: int, name: str, victim: Any) -> tuple[int | None, Any]:
        """The newest version that the journal tells and that does not lead to the block."""
        for version, target in reversed(ok(self.call(player, "moves", name))):
            if target is None:
                break  # what had the name before was something else
            if ok(self.call(player, "is_whole_without", target, victim)):
                return version, target
        return None, None

    def put_away(self, player: int, name: str, refs: Any, whole: Any, entry: Entry) -> None:
        """One ref into quarantine, and what belongs to it."""
        entry.name, entry.told = ok(self.call(player, "quarantine", name))
        assert entry.told["at_ms"] == self.now_ms
        assert entry.told["lost"] == [entry.victim[0]]
        for told, about in entry.told["refs"].items():
            assert about["stood"] == refs[told]
            assert about["broken"] == (told in whole)
            assert about["whole"] == whole.get(told, (None, None))
        scope, kind, rest = name.split("/", 2)
        along = {name}
        if kind == "thread":
            thread = self.threads[rest]
            thread.removed = True
            entry.threads.append(thread)
            along |= {told for told in refs if belongs(told, [thread])}
            if thread.key is not None:
                along.add(f"{scope}/thread-key/{thread.key}")
        else:
            entry.pins[scope, rest] = self.pins.pop((scope, rest))
        assert set(entry.told["refs"]) == along
        self.entries[entry.name] = entry
        self.learn_holds(player)

    def learn_holds(self, player: int) -> None:
        """What the store itself has put is held as what others put is: for a day from now."""
        held = ok(self.call(player, "holds", list(SCOPES)))
        for hold, until in held.items():
            if until > self.now_ms and self.holds.get(hold) != until:
                assert until == self.now_ms + 24 * HOUR_MS
                self.holds[hold] = until

    @precondition(lambda self: self.entries)
    @rule(player=PLAYER, pick=PICK, put_first=st.booleans())
    def give_back(self, player: int, pick: int, put_first: bool) -> None:
        """Back to where it stood, once the lost block was put again."""
        entry = self.entry(pick)
        victim, data = entry.victim
        if put_first:
            assert ok(self.call(player, "put_back", victim, data))
            self.keep("main", victim, None)
        there = ok(self.call(player, "reachable", [victim]))[1] == []
        answer = self.call(player, "give_back", entry.name, False)
        self.learn_holds(player)
        errors = {"invalid": not there, "version-conflict": self.is_taken(entry, entry.told["refs"])}
        # Which of the two is told first is not promised.
        if right(answer, errors, may=frozenset(errors)):
            assert not any(errors.values()), errors
            assert answer.value == sorted(entry.told["refs"])
            self.came_back(entry, entry.told["refs"], whole=False)
            del self.entries[entry.name]

    @precondition(lambda self: self.entries)
    @rule(player=PLAYER, pick=PICK)
    def give_back_whole(self, player: int, pick: int) -> None:
        """Back to the newest version that is whole, for what has one; the entry stays."""
        entry = self.entry(pick)
        back = [name for name, about in entry.told["refs"].items() if about["whole"][0] or not about["broken"]]
        if next(iter(entry.told["refs"])) not in back:
            back = []  # what was asked for stays, and so does what is nothing without it
        if self.blanks and any(thread.lives > 1 for thread in entry.threads):
            return  # the commit that ended its first life may be given up: then its versions are told as one life's
        answer = self.call(player, "give_back", entry.name, True)
        errors = {"invalid": not back, "version-conflict": self.is_taken(entry, back)}
        if right(answer, errors):
            assert answer.value == sorted(back)
            self.came_back(entry, back, whole=True)

    @precondition(lambda self: self.entries)
    @rule(player=PLAYER, pick=PICK)
    def discard(self, player: int, pick: int) -> None:
        entry = self.entry(pick)
        ok(self.call(player, "discard", entry.name))
        del self.entries[entry.name]
        assert self.call(player, "discard", entry.name).error == "not-found"

    def entry(self, pick: int) -> Entry:
        return self.entries[sorted(self.entries)[pick % len(self.entries)]]

    def is_taken(self, entry: Entry, names: Any) -> bool:
        """Whether there is something again under one of the names."""
        threads = [thread for thread in entry.threads if thread.ref in names]
        keys = [thread for thread in entry.threads if f"{thread.scope}/thread-key/{thread.key}" in names]
        pins = [pin for pin in entry.pins if "/".join((pin[0], "pin", pin[1])) in names]
        return (
            any(not thread.removed for thread in threads)
            or any(self.has_key(thread.scope, thread.key) is not None for thread in keys)
            or any(pin in self.pins for pin in pins)
        )

    def came_back(self, entry: Entry, names: Any, whole: bool) -> None:
        for thread in entry.threads:
            if thread.ref in names:
                thread.removed = False
                thread.back_to(entry.told["refs"][thread.ref]["whole"][0] if whole else thread.version)
        for (scope, name), cid in entry.pins.items():
            if f"{scope}/pin/{name}" in names:
                self.pins[scope, name] = entry.told["refs"][f"{scope}/pin/{name}"]["whole"][1] if whole else cid


def belongs(name: str, threads: list[Expected]) -> bool:
    """Whether it is the failure of one of these."""
    return any(name == f"{thread.scope}/thread-failed/{thread.id}" for thread in threads)


def lose(rows: sqlite3.Connection, victim: Any, graph_too: bool) -> bool:
    """Whether the block's row is gone; one that has a file stays."""
    ((ordinal, file),) = rows.execute("SELECT ordinal, file FROM block WHERE digest = ?", (victim.digest,))
    if file is not None:
        return False
    if graph_too:
        # One without links has no row there.
        rows.execute("DELETE FROM graph WHERE ordinal = ?", (ordinal,))
    one(rows, "DELETE FROM block WHERE ordinal = ?", ordinal)
    return True
