"""Whether all of a scope is sound."""

from __future__ import annotations

from dataclasses import dataclass

from treering import _core
from treering._core import StoresCore
from treering.errors import Corrupt
from treering.projections import listed as listed_projections
from treering.step import StepPlace
from treering.stores.actor import listed
from treering.verify import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeVerifyReport:
    """What of a scope was checked, and what is wrong; true if nothing is."""

    refs: int
    """Refs of every kind."""
    blocks: int
    """Blocks that they reach, each hashed again."""
    bytes: int
    """Their bytes."""
    threads: int
    steps: int
    """Steps of the threads, those that they share once."""
    actors: int
    events: int
    """Events of the actors."""
    projections: int
    findings: tuple[Finding, ...]
    """What is wrong; empty if all is well."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        checked = (
            f"{self.refs} refs, {self.blocks} blocks, {self.threads} threads, {self.steps} steps, "
            f"{self.actors} actors, {self.events} events, {self.projections} projections"
        )
        if self.ok:
            return f"ok: {checked}"
        return "\n".join([f"{len(self.findings)} findings in {checked}", *map(str, self.findings)])


def verified(core: StoresCore) -> ScopeVerifyReport:
    """Returns what is wrong with a scope, and how much was checked."""
    found = _core.verify_scope(core)
    findings = [
        Finding(one["check"], one["which"], one["detail"], tuple(StepPlace(*place) for place in one["threads"]))
        for one in found["findings"]
    ]
    actors = events = projections = 0
    for chunk in listed(core):
        for info in chunk:
            actors += 1
            try:
                events += core.verify_actor(info.kind, info.parts)
            except Corrupt as broken:
                which = "/".join((info.kind, *info.parts))
                findings.append(Finding("actor", which, broken.message, ()))
    for page in listed_projections(core):
        for projection in page:
            projections += 1
            if projection.broken is not None:
                findings.append(Finding("projection", projection.name, projection.broken, ()))
    return ScopeVerifyReport(
        refs=found["refs"],
        blocks=found["blocks"],
        bytes=found["bytes"],
        threads=found["threads"],
        steps=found["steps"],
        actors=actors,
        events=events,
        projections=projections,
        findings=tuple(findings),
    )
