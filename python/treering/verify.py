"""What `Store.verify` says."""

from __future__ import annotations

from dataclasses import dataclass

from treering.step import StepPlace


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    check: str
    """Which check found it; the names are stable, `docs/reference.md` lists them."""
    which: str
    """What is broken: a CID, a ref, a journal position."""
    detail: str
    """How."""
    threads: tuple[StepPlace, ...]
    """The threads and steps that it hurts, where they are known."""
    advice: str = ""
    """After a repair: why it could not be mended, and what to do."""

    def __str__(self) -> str:
        hurt = "".join(f"; hurts {place}" for place in self.threads)
        return f"{self.check} {self.which}: {self.detail}{hurt}"


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was mended."""

    check: str
    """The check that had failed."""
    which: str
    """What was broken: a row, a ref, a CID."""
    detail: str
    """What was done, and what proved it."""

    def __str__(self) -> str:
        return f"{self.check} {self.which}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked, and what is wrong; true if nothing is."""

    blocks: int
    bytes: int
    """Bytes of blocks that were hashed again."""
    links: int
    refs: int
    commits: int
    blank_commits: int
    """Those of them whose bodies were lost and given up: known, and no finding."""
    erased_commits: int
    """Those whose bodies went with the scope that they were about, and the commits that erased them."""
    receipts: int
    threads: int
    steps: int
    findings: tuple[Finding, ...]
    """What is wrong; empty if all is well. After a repair: what is left."""
    repairs: tuple[Repair, ...] = ()
    """What `verify(repair=True)` has mended."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        blank = f" ({self.blank_commits} given up)" if self.blank_commits else ""
        erased = f" ({self.erased_commits} erased)" if self.erased_commits else ""
        checked = f"{self.blocks} blocks, {self.refs} refs, {self.commits} commits{blank}{erased}, {self.steps} steps"
        if self.ok:
            return f"ok: {checked}"
        return "\n".join([f"{len(self.findings)} findings in {checked}", *map(str, self.findings)])
