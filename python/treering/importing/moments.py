"""Times as old data has them: a number counts milliseconds since 1970, a text is ISO 8601; without a zone it is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from treering.importing.report import Refused, shown
from treering.step import AT_MS_MAX, AT_MS_MIN

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EXPECTED: Final = "it is neither a number of milliseconds nor an ISO 8601 time"


def read_moment(value: Any, path: str) -> tuple[int, str | None]:
    """Returns Unix milliseconds, and what was changed to have them: None for nothing."""
    changed = None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused(path, f"{_EXPECTED}: {shown(value)}")
    if isinstance(value, str):
        at_ms, changed = _iso(value, path)
    else:
        at_ms = int(value // 1)
        if at_ms != value:
            changed = "a time is kept in milliseconds: what is finer was cut off"
    if not AT_MS_MIN <= at_ms <= AT_MS_MAX:
        raise Refused(path, f"the time is not in the years 1 to 9999: {shown(value)}")
    return at_ms, changed


def _iso(text: str, path: str) -> tuple[int, str | None]:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused(path, f"{_EXPECTED}: {shown(text)}") from None
    changed = None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
        changed = "a time without a zone was read as UTC"
    at_ms, rest = divmod(moment - _EPOCH, _MILLISECOND)
    if rest or _finer(text):
        changed = "a time is kept in milliseconds: what is finer was cut off"
    return at_ms, changed


def _finer(text: str) -> bool:
    """Whether a fraction says something beyond the microseconds, which a `datetime` does not hold."""
    _, _, fraction = text.replace(",", ".").partition(".")
    digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
    return bool(digits[6:].strip("0"))
