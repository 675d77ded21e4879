"""Days and ages as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

_AGE: Final = re.compile(r"(\d{1,6})([dh])")
_AGE_MAX: Final = timedelta(days=36_500)


def moment(text: str, forms: str) -> datetime:
    """Returns the moment that a day (UTC) or an age (90d, 12h) means. Raises a usage error for anything else, which
    names the `forms` that there are."""
    if (span := _span(text)) is not None:
        return datetime.now(UTC) - span
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no {forms}", param_hint="--before") from None
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


def age(text: str, option: str) -> timedelta:
    """Returns an age (90d, 12h). Raises a usage error for anything else."""
    if (span := _span(text)) is None:
        raise typer.BadParameter(f"{text!r} is no age: 90d, 12h", param_hint=option)
    if not timedelta(0) < span <= _AGE_MAX:
        raise typer.BadParameter(
            f"{text!r}: an age is 1h to {_AGE_MAX.days}d; --keep 0 keeps only what is", param_hint=option
        )
    return span


def _span(text: str) -> timedelta | None:
    if (read := _AGE.fullmatch(text)) is None:
        return None
    number = int(read[1])
    return timedelta(days=number) if read[2] == "d" else timedelta(hours=number)
