"""What is broken: repairing it, the quarantine, giving a commit up."""

from typing import Any

import treering
from player.core import Core


def entry_told(entry: treering.Quarantined) -> dict[str, Any]:
    """An entry of the quarantine in plain data: each ref by its name, with whether it was broken itself."""
    assert entry.broken is None, entry
    return {
        "at_ms": entry.at_ms,
        "refs": {
            ref.name: {
                "broken": ref.why != "",
                "stood": (ref.version, ref.target),
                "whole": (ref.whole_version, ref.whole_target),
            }
            for ref in entry.refs
        },
        "lost": list(entry.lost),
    }


class Breaking(Core):
    """Verbs that are of use once something is broken."""

    def repair(self) -> tuple[list[str], list[str]]:
        """What was mended, and what is left, which says what to do."""
        report = self.store.verify(repair=True)
        assert all(finding.advice for finding in report.findings), report
        return [repair.check for repair in report.repairs], [finding.check for finding in report.findings]

    def quarantine(self, name: str) -> tuple[str, dict[str, Any]]:
        entry = self.store.refs.quarantine(name)
        return entry.entry, entry_told(entry)

    def give_back(self, entry: str, whole: bool) -> list[str]:
        return sorted(self.store.refs.restore(entry, whole=whole))

    def discard(self, entry: str) -> None:
        self.store.refs.discard(entry)

    def give_up(self, position: int) -> None:
        self.store.give_up_commit(position)
