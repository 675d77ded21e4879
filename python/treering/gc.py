"""What `Store.gc` says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GcReport:
    """What a collection found and did; exact. Of a dry run, what it would have done."""

    dry_run: bool
    """Nothing was changed."""
    roots: int
    """Refs and holds that it started from."""
    held: int
    """Of them, holds that had not ended."""
    reachable: int
    """Blocks that stay: those reached from a root, and those stored while it ran."""
    dead: int
    """Blocks that became absent."""
    dead_nodes: int
    """Of them, nodes."""
    dead_links: int
    """Links of these nodes."""
    dead_bytes: int
    """Bytes of the blocks that became absent."""
    deleted: int
    """Blocks whose bytes were deleted: the dead, and what a stopped collection had left of its own."""
    freed_bytes: int
    """Bytes of the deleted blocks. The database file keeps their room for what comes next."""
    generation: int
    """How often blocks were made absent in this store so far; one that finds very much does it in pieces."""
    duration_ms: int
    """How long it took, milliseconds."""
    kept_files: int = 0
    """Files and objects that no row names, and that stay since rows are damaged: one of these may be theirs.
    `verify(repair=True)` settles it. Or the bucket did not answer: at least so many. The next collection removes what
    is left."""
    kept_because: str | None = None
    """That damage, or what the bucket said; None where there is none."""

    def __str__(self) -> str:
        verb = "would go" if self.dry_run else "went"
        said = (
            f"{self.deleted} blocks of {self.freed_bytes} bytes {verb}, {self.reachable} stay; "
            f"{self.roots} roots, {self.held} of them holds"
        )
        if self.kept_because is not None:
            said += f"; {self.kept_files} files without a row stay: {self.kept_because}"
        return said
