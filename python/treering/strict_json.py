"""JSON as others wrote it, read strictly: nothing is repaired, rounded or dropped on the way in.

What Python's parser would let through silently (a key given twice, NaN, 1e999, integers of any length) is marked while
parsing and found by `unkept`, which also finds lone surrogates and what is nested too deep for a node.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

#: Containers inside one another, counted from the record itself: what a node may hold.
DEPTH_MAX = 128
#: Longest digit string that can be an integer of 64 bits and a sign.
_DIGITS_MAX = 20
_INT_MIN, _INT_MAX = -(2**64), 2**64 - 1
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Unkept:
    """Stands in parsed JSON where something can't be kept; `below` is the rest of its path."""

    reason: str
    below: str = ""


def join_path(path: str, key: str | int) -> str:
    """The JSON path of a member: `$.a`, `$.a[3]`, `$["odd key"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.match(key):
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key)}]"


def unkept(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    """Where in `value` something can't be kept, and why; None if all of it can.

    `path` is that of `value` itself, `depth` that at which it will stand in a node (1: on its own).
    """
    kind = type(value)
    if kind is str:
        return None if is_text(value) else (path, "a lone surrogate: no UTF-8 can hold it")
    if kind is int:
        return None if _INT_MIN <= value <= _INT_MAX else (path, "an integer beyond 64 bits")
    if kind is Unkept:
        return path + value.below, value.reason
    if kind is not dict and kind is not list:
        return None
    if depth > DEPTH_MAX:
        return path, f"nested deeper than {DEPTH_MAX} levels"
    for key, member in value.items() if kind is dict else enumerate(value):
        below = join_path(path, key)
        if isinstance(key, str) and not is_text(key):
            return below, "a lone surrogate in a key: no UTF-8 can hold it"
        if (found := unkept(member, below, depth + 1)) is not None:
            return found
    return None


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: it has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return Unkept("a key that is given twice", join_path("", key))
        seen.add(key)
    raise AssertionError("a dict shorter than its pairs has a key twice")


def _int(digits: str) -> Any:
    if len(digits.lstrip("-")) > _DIGITS_MAX:
        return Unkept("an integer beyond 64 bits")
    return int(digits)


def _float(digits: str) -> Any:
    value = float(digits)
    return value if math.isfinite(value) else Unkept("a number too large for a float: it would be infinite")


def _constant(name: str) -> Any:
    return Unkept(f"{name} is not a JSON number")


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)


def lower(message: str) -> str:
    """The parser's message as the middle of a sentence."""
    return message[:1].lower() + message[1:]
