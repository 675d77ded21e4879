"""Backups, what is made of them, and copies from store to store: what they report, and waiting for them.

The work is done by a thread of the core; here it is waited for, so that Ctrl-C gets through and progress can be
shown. Never: a rule of what is copied.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from treering import _core
from treering._calls import read, writes
from treering._core import Work
from treering.errors import Invalid, TreeringError

_SLICE_MS: Final = 50
_LOCK_WAIT_MS: Final = 30_000


class Progress(NamedTuple):
    """How far a backup, a restore or a copy is."""

    stage: str
    """What it is at: `start`, `database`, `files`, `check`; `send` and `fetch` with a bucket; a copy: `search`,
    `blocks`, `refs`."""
    done: int
    """How much of the stage is done: bytes of `database`, `files`, `send` and `fetch`, else blocks or refs."""
    total: int | None
    """Of how much; None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """What a backup or a restore did."""

    incremental: bool
    """Whether there was a backup already, which was brought up to date."""
    position: int
    """The newest commit that is in it."""
    head: str
    """The store's `head()` at that moment: `verify(since=…)` proves that a store continues it."""
    commits: int
    """Commits that were copied."""
    blocks: int
    """Blocks that were copied."""
    removed_blocks: int
    """Blocks that were collected since the backup before, and are gone from it too."""
    files: int
    """Large blocks that were copied; they are among `blocks`."""
    copied_bytes: int
    """Bytes that were copied, of the database and of files."""
    erased_scopes: int
    """Scopes that went because they were erased in the store since."""
    checked_blocks: int
    """Blocks of the backup that were read again and hashed."""
    sent_bytes: int
    """Bytes that went to a bucket; 0 for a backup in a directory."""
    objects_left: int
    """Objects of former backups that are still in the bucket, since one could not be removed, 1 where they could not be
    listed; the next backup goes on. Of a restore: files and objects of erased scopes that are still in the new
    store; each opening of it for writing goes on."""
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What `Store.copy_to` did."""

    scopes: int
    """Scopes that were looked at."""
    refs_new: int
    """Refs that the target did not have."""
    refs_moved: int
    """Refs that were behind, and were moved on."""
    refs_there: int
    """Refs that were there as they are."""
    blocks: int
    """Blocks that the target did not have."""
    bytes: int
    """Bytes of these blocks."""
    receipts_left: int
    """Command receipts of the source; they are not copied."""


@read
@writes
def restore(
    backup: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    erasures: str | os.PathLike[str] | None = None,
    as_it_is: bool = False,
    blobs: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BackupReport:
    """Returns what was restored: a store in the directory `path`, made of the backup, checked like one.

    `path` is absent or empty. The store goes on where the backup ends, and its next backups may go into the
    same directory as before. One that is cut short can't be opened; restoring again makes it anew. Leases are
    not restored. `backup` may be a store's directory, too, or the URL of a backup in a bucket: it is fetched into a
    temporary directory beside `path`, where there has to be room for it, and each piece is checked. O(backup).

    Scopes that were erased since the backup was made are left out, before there is a store. Who says so is the
    store that it is of, which is looked for where it was, or `erasures`: that store's directory, a newer backup or
    copy of it, or a file that `Store.export_erasures` wrote. What only they reached, or scopes that were erased
    before, is collected before this answers; what a bucket did not remove is in `objects_left`. `as_it_is` restores
    what the backup has, whatever was erased since. `blobs` is the URL of an empty place in a bucket where the large
    blocks go, as for `treering.open`.

    Errors:
        Invalid (`invalid`): `backup` is no store, no backup is at the URL, or there is something in `path`; the store
            of the backup is not where it was, and neither `erasures` nor `as_it_is` is given.
        BucketError (`bucket`): the bucket of `backup` or `blobs` can't be reached or refuses.
        Diverged (`diverged`): `erasures` are of another store.
        Corrupt (`corrupt`): the backup is not sound.
        DiskFull (`disk-full`), Unavailable (`unavailable`): the store can't be written.

    Example:
        >>> import tempfile, treering
        >>> with tempfile.TemporaryDirectory() as home:
        ...     with treering.open(f"{home}/state") as store:
        ...         _ = store.threads.start("hello")
        ...         _ = store.backup(f"{home}/backup")
        ...     _ = treering.restore(f"{home}/backup", f"{home}/restored")
        ...     with treering.open(f"{home}/restored") as store:
        ...         len(store.threads.list())
        1
    """
    known = None if erasures is None else path_text(erasures)
    to = path_text(path)

    def restored(source: str) -> BackupReport:
        work = _core.restore(source, to, _LOCK_WAIT_MS, known, as_it_is, blobs)
        return BackupReport(**finish(work, progress))

    url = bucket_url(backup)
    if url is None:
        return restored(path_text(backup))
    above = next(above for above in Path(to).parents if above.is_dir())
    with tempfile.TemporaryDirectory(prefix=".treering-fetched-", dir=above) as fetched:
        finish(_core.fetch_backup(url, fetched), progress)
        try:
            return restored(fetched)
        except TreeringError as error:
            # The folder is ours, and gone by then.
            place = url.partition("?")[0]
            named = {
                name: value.replace(fetched, place) if isinstance(value, str) else value
                for name, value in error.attributes.items()
            }
            raise type(error)(error.message.replace(fetched, place), **named) from None


def back_up(
    core: _core.Core,
    path: str | os.PathLike[str],
    staging: str | os.PathLike[str] | None,
    verify: bool,
    progress: Callable[[Progress], None] | None,
) -> BackupReport:
    """Backs a store up into a directory, or into a bucket."""
    url = bucket_url(path)
    if url is None:
        if staging is not None:
            raise Invalid(
                "`staging` goes with a backup in a bucket; this one is in a directory", path=os.fsdecode(path)
            )
        return BackupReport(**finish(core.backup(path_text(path), verify), progress))
    if staging is not None:
        return BackupReport(**finish(core.backup_to_bucket(url, path_text(staging), verify), progress))
    with tempfile.TemporaryDirectory(prefix="treering-backup-") as made:
        return BackupReport(**finish(core.backup_to_bucket(url, made, verify), progress))


def bucket_url(path: str | os.PathLike[str]) -> str | None:
    """Returns the URL of a bucket; None for what is a path, or another URL."""
    return path if isinstance(path, str) and path.startswith("s3://") else None


def finish(work: Work, progress: Callable[[Progress], None] | None) -> dict[str, Any]:
    """Waits for the work and returns its report; work that is interrupted is cancelled, and has ended then."""
    try:
        while (report := work.wait(_SLICE_MS)) is None:
            if progress is not None:
                stage, done, total = work.progress()
                progress(Progress(stage, done, total or None))
    except BaseException:
        # Its own error, a signal's, or one of the caller's function: whichever, nothing goes on behind.
        work.cancel()
        _wait_for_end(work)
        raise
    return report


def _wait_for_end(work: Work) -> None:
    # Work that has answered says that it has.
    with suppress(TreeringError):
        while work.wait(_SLICE_MS) is None:
            pass


def path_text(path: str | os.PathLike[str]) -> str:
    """Returns the absolute path of an argument."""
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise Invalid(f"{text!r} is no path; give a directory", path=text)
    if re.match(r"[a-z][a-z0-9+.-]+://", text):
        rule = "give a local directory (backups may be at s3://…; `blobs` of `open` puts large blocks into a bucket)"
        raise Invalid(f"{text!r} is a URL; {rule}", path=text)
    return os.path.abspath(text)  # noqa: PTH100
