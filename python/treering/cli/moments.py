"""Days and ages as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

_AGE: Final = re.compile(r"(\d{1,6})([dh])")


def moment(text: str, forms: str) -> datetime:
    """Returns the moment that a day (UTC) or an age (90d, 12h) means. Raises a usage error for anything else, which
    names the `forms` that there are."""
    if age := _AGE.fullmatch(text):
        number = int(age[1])
        return datetime.now(UTC) - (timedelta(days=number) if age[2] == "d" else timedelta(hours=number))
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no {forms}", param_hint="--before") from None
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)
