"""What a player answers."""

from typing import Any, NamedTuple

import treering


class Answer(NamedTuple):
    """What came of a call: a value, or the kind and text of a treering error."""

    value: Any = None
    error: str | None = None
    text: str = ""


def told(step: treering.Step) -> tuple[int, str, Any]:
    return step.number, step.role, step.content
