"""The store somewhere else: backups, copies, CAR files."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

from expected import ok
from hypothesis.stateful import precondition, rule

from machine.drawn import PICK, PLAYER, SCOPE, SCOPES
from machine.journal import Journal
from machine.world import without_lease, without_leases


class Moving(Journal):
    """Rules that take what there is elsewhere."""

    def begin(self) -> None:
        super().begin()
        self.backups = 0
        self.backed_up: dict[str, Any] | None = None

    @precondition(lambda self: not self.in_memory)
    @rule(player=PLAYER)
    def backup(self, player: int) -> None:
        self.backed_up = None
        assert without_leases(ok(self.call(player, "backup", str(self.backup_path())))) == self.unleased()
        self.backed_up = deepcopy(self.unleased())

    def backup_path(self) -> Path:
        return self.home / f"backup-{self.backups}"

    def start_backups_anew(self) -> None:
        self.backups += 1
        self.backed_up = None

    @precondition(lambda self: self.backed_up is not None)
    @rule(player=PLAYER)
    def restore(self, player: int) -> None:
        to = self.home / f"restored-{self.number()}"
        dump = ok(self.call(player, "restore", str(self.backup_path()), str(to)))
        assert without_leases(dump) == self.backed_up
        shutil.rmtree(to)

    @rule(player=PLAYER)
    def copy(self, player: int) -> None:
        assert without_leases(ok(self.call(player, "copy"))) == self.unleased()

    @rule(pick=PICK)
    def travel(self, pick: int) -> None:
        handle = self.pick(pick)
        if not handle.thread.removed:
            there = ok(self.call(handle.player, "travel", handle.h, str(self.home / f"{self.number()}.car")))
            assert without_lease(there) == without_lease(handle.thread.whole())

    @rule(player=PLAYER, scope=SCOPE)
    def move_out(self, player: int, scope: int) -> None:
        name = SCOPES[scope]
        threads = ok(self.call(player, "move_out", name, str(self.home / f"{self.number()}.car")))
        wanted = {thread.id: thread.whole() for thread in self.there() if thread.scope == name}
        assert without_leases({"threads": threads}) == without_leases({"threads": wanted})

    def unleased(self) -> dict[str, Any]:
        return without_leases(self.all_there())
