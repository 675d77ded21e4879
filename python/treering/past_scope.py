"""A scope as it was at a moment: read like any other, written by nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, NoReturn

from treering._core import Core, scope_at
from treering._family import SYNC, Family
from treering._session import Home, Location, Session, home
from treering.errors import Invalid
from treering.journal import moment
from treering.scope import Scope
from treering.scope_diff import ScopeRef


@dataclass(frozen=True, slots=True)
class GoneRef:
    """Something that the scope had at the moment, and that can't be shown any more."""

    ref: ScopeRef
    """What it was called."""
    collected: bool
    """True: what it was then, a collection took. False: the journal that is kept does not say any more what it was."""

    def __str__(self) -> str:
        return f"{self.ref}: {'collected' if self.collected else 'forgotten'}"


class PastSession(Session):
    """A store as one scope of it was."""

    __slots__ = ("_gone", "_origin")

    def __init__(self, core: Core, origin: Session, gone: tuple[str, ...]) -> None:
        super().__init__(core, origin.location, origin.durability, origin.settings)
        self._origin = origin
        self._gone = gone

    @property
    def gone(self) -> tuple[str, ...]:
        return self._gone

    @property
    def origin(self) -> Session:
        return self._origin

    def portable(self, what: str) -> Location:
        raise Invalid(f"{what} of a scope as it was can't be pickled: pickle the scope and the moment")

    def same_store(self, other: Session) -> bool:
        # What is and what was are two things, though the store is one.
        return self is other


class PastScope(Scope):
    """A scope as it was, made by `scope.at(moment)`: what reads, reads what was then; what writes raises `ReadOnly`.

    Leases and holds are no history: it has none. What of it was collected since is listed in `gone`, and raises
    `HistoryTrimmed` where it is asked for; read models are made anew of the logs.
    """

    __slots__ = ("_at_ms", "_gone", "_position")

    _family: ClassVar[Family] = SYNC

    def __init__(self, now: Home, at: datetime | str) -> None:
        when = moment(at)
        time, cursor = (None, when) if isinstance(when, str) else (when, None)
        origin = now.session.origin
        core, self._position, self._at_ms, gone = scope_at(origin.core, now.scope, time, cursor)
        self._gone = tuple(GoneRef(ScopeRef(kind, tuple(parts)), collected) for kind, parts, collected in gone)
        session = PastSession(core, origin, tuple(map(str, self._gone)))
        self._home = home(session, now.scope, now.durability)

    @property
    def position(self) -> int:
        """The newest commit of the store that counts; 0 for before the first."""
        return self._position

    @property
    def moment_ms(self) -> int:
        """When that commit was made, Unix milliseconds; 0 for before the first."""
        return self._at_ms

    @property
    def moment(self) -> datetime:
        """When that commit was made, in UTC."""
        return datetime.fromtimestamp(self._at_ms / 1000, UTC)

    @property
    def gone(self) -> tuple[GoneRef, ...]:
        """What the scope had then and can't be shown any more, by kind and name. What is not here is whole, unless a
        collection takes it while it is looked at."""
        return self._gone

    def __reduce__(self) -> NoReturn:
        raise Invalid("a scope as it was can't be pickled: pickle the scope and the moment")

    def __eq__(self, other: object) -> bool:
        # Another look at the same moment may find more of it gone.
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<PastScope {self.name} of {self._home.session.name} at commit {self._position}>"


SYNC.PastScope = PastScope
