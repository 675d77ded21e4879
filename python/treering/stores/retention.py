"""How much history a scope keeps when it is trimmed: `scope.retention`."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.errors import Invalid
from treering.messages import RetentionPolicy
from treering.stores._dispatch import ActorView
from treering.stores.receipt import Receipt

KIND: Final = "retention"
_MS: Final = timedelta(milliseconds=1)


def span_ms(younger_than: timedelta) -> int:
    """Returns an age in milliseconds, rounded away from nothing: never less is kept than was said."""
    if not isinstance(younger_than, timedelta):  # a caller without a type checker
        raise Invalid(f"younger_than is a timedelta, an age, not {younger_than!r}")
    ms, more = divmod(younger_than, _MS)
    return ms + bool(more)


class RetentionStore(ActorView):
    """The retention policy of a scope: what `scope.trim()`, `store.trim()` and `treering trim` keep of the history of
    its actors. Never set, all is kept, and the version is 0.

    It is data of the scope, as its configuration is: a fork and an archive have it too. It does nothing by itself.
    """

    __slots__ = ()

    _kind = KIND

    @read
    def get(self) -> RetentionPolicy:
        """Returns the policy as it is, with its `version`: `keep` or `younger_than`, or neither where all is kept."""
        policy: RetentionPolicy = self._core.retention()
        return policy

    @read
    def at(self, version: int) -> RetentionPolicy:
        """Returns the policy as it was at a version; 0 is before any was set.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        policy: RetentionPolicy = self._core.retention(version)
        return policy

    @feed
    def states(self, after: int | None = None) -> Feed[RetentionPolicy]:
        """Returns the policy as it is, then after each commit that changed it, of any process, in order and none left
        out; no end. After version `after`, if that is given: without the first.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda policy: policy)

    @verb
    def set(
        self,
        *,
        keep: int | None = None,
        younger_than: timedelta | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[RetentionPolicy]]:
        """Returns the receipt; the policy is replaced, and nothing is cut off yet.

        `keep` the newest so many events of each actor, 0 to 10,000 (0: only what it is); or events `younger_than` an
        age, 1 ms to 36,500 days: one that is exactly as old goes. Neither keeps all, as at first. What an actor is
        stays in any case, and so does what it was where its history then begins. Once this has returned, no trim goes
        by an earlier policy any more.

        Errors:
            InvalidCommand (`invalid-command`): both, or out of range; `field`, `value`, `rule`.
            Invalid (`invalid`): `younger_than` is no timedelta.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.

        Example:
            >>> from datetime import timedelta
            >>> import treering
            >>> alice = treering.memory().scope("alice")
            >>> alice.retention.set(younger_than=timedelta(days=90)).version
            1
            >>> alice.retention.get().younger_than
            datetime.timedelta(days=90)
        """
        keep, ms = set_arguments(keep, younger_than)
        return (yield from self._send(lambda core: core.retention_set(keep, ms), expected_version, command_id))


def set_arguments(keep: int | None, younger_than: timedelta | None) -> tuple[int | None, int | None]:
    """Returns what the core takes of `set`."""
    if isinstance(keep, bool):
        raise Invalid("keep is a number of events, not True or False")
    return keep, None if younger_than is None else span_ms(younger_than)


SYNC.RetentionStore = RetentionStore
