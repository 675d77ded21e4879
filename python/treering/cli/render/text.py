"""Text from a store, made fit for a terminal.

Promises: what it returns is one line, or lines, without control characters. Content comes from models, tools and
strangers; an escape sequence in it must not reach the terminal that shows it, nor a bidirectional override turn a line
around. Never: changes what `--json` prints.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_DIGEST_KEY = re.compile(r"chat-[a-z2-7]{40,}-[0-9]+\Z")
_BLANK = re.compile(r"\s+")
#: More of a text than this is never shown on one line; what is cut off needn't be cleaned.
_LINE_MAX = 2_000


def safe(text: str) -> str:
    """The text with every control character but the line feed shown as a picture."""
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The beginning of a text, white space squeezed, on one line."""
    return safe(_BLANK.sub(" ", text[:_LINE_MAX]).strip())


def value_line(value: Any) -> str:
    """A content payload on one line: text as it is, lists of text parts joined, anything else as JSON."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if value is None:
        return ""
    parts = _text_parts(value)
    if parts is not None:
        return one_line(" ".join(parts))
    return one_line(json.dumps(value, ensure_ascii=False, default=str))


def value_text(value: Any) -> str:
    """A content payload over as many lines as it has."""
    if isinstance(value, str):
        return safe(value)
    if value is None or isinstance(value, bytes):
        return value_line(value)
    parts = _text_parts(value)
    if parts is not None:
        return safe("\n".join(parts))
    return safe(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def call_lines(meta: Mapping[str, Any]) -> list[str]:
    """The tool calls in a chat step's meta, each as `name(argument=value, …)`; empty where there are none."""
    calls = meta.get("tool_calls")
    if not isinstance(calls, list):
        return []
    lines = []
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            lines.append(one_line(json.dumps(call, ensure_ascii=False, default=str)))
            continue
        lines.append(one_line(f"{function.get('name', '?')}({_arguments(function.get('arguments'))})"))
    return lines


def count(number: int, noun: str) -> str:
    """`1 step`, `5,308 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes as a person reads them: `812 B`, `4.1 MB`."""
    if number < 1_000:
        return f"{number} B"
    amount = float(number)
    for unit in ("kB", "MB", "GB"):
        amount /= 1_000
        if amount < 999.5 or unit == "GB":
            return f"{amount:.0f} {unit}" if amount >= 99.5 else f"{amount:.1f} {unit}"
    raise AssertionError("the last unit takes all")


def short_key(key: str) -> str:
    """A key that fits a column; the middle of a long one is left out, since its ends tell keys apart."""
    key = one_line(key)
    return key if len(key) <= 24 else f"{key[:15]}…{key[-8:]}"


def is_digest_key(key: str) -> bool:
    """Whether an import made this key from a record's digest."""
    return _DIGEST_KEY.match(key) is not None


def label(value: Any) -> str:
    """A label's value as `--label` takes it: text that would be read as something else is quoted."""
    if not isinstance(value, str):
        return json.dumps(value)
    return json.dumps(value) if _reads_as_json(value) else one_line(value)


def _reads_as_json(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return value is None or isinstance(value, str | int | float | bool)


def _text_parts(value: Any) -> list[str] | None:
    """The texts of a list of parts as chat APIs write them, None if it is something else."""
    if not isinstance(value, list) or not value:
        return None
    parts = []
    for part in value:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            return None
        parts.append(part["text"])
    return parts


def _arguments(arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return str(arguments)
    if isinstance(arguments, Mapping):
        return ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return json.dumps(arguments, ensure_ascii=False)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x09:
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "�"
