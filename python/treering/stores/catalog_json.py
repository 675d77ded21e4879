"""Catalogs as JSON: what people keep in `connectors.json` and `roles.json`, what a draft's mirror and `--json` show.

Promises: keys are read whatever their case, `_` and `-` (`baseUrl`, `base_url`, `BASE-URL`), written in camelCase,
and what was written is read back as it was; an error says where in the file, as a JSON path, and what is needed, never
what stands there: it may be a secret. Unknown keys are named, not taken. Never: a rule of a catalog is judged here; its
decider does that, and `in_file` says where in the file it is broken.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from treering.errors import Invalid, InvalidCommand, LimitExceeded
from treering.secrets import Secret, is_secret_name
from treering.strict_json import is_text, join_path

T = TypeVar("T")

FILE_BYTES_MAX: Final = 4 << 20
"""Of a file that a catalog is read from."""
NAMED_MAX: Final = 10
"""Unknown keys that a warning names."""
#: Characters of a key that a place shows.
_KEY_SHOWN_MAX: Final = 64
_ITEMS_MAX: Final = 1_000
"""Of a catalog: its decider has the same number, and what it refuses is not made before."""


class Unknown(list[str]):
    """Where keys stand that nobody knows: the first of them, and how many more there are."""

    def __init__(self, named_max: int) -> None:
        super().__init__()
        self._named_max = named_max
        self.unnamed = 0

    def note(self, at: str, key: str) -> None:
        if len(self) < self._named_max:
            self.append(_member(at, key))
        else:
            self.unnamed += 1


class Members(list[tuple[str, Any]]):
    """A JSON object with its keys as they stand there, the same one twice too."""


class Row(NamedTuple):
    """An item of a file."""

    place: str
    """Its JSON path."""
    given: Members
    """What stands there."""
    item: Any
    """What was made of it."""


def rows_of(
    data: bytes, cls: type[Any], *, plural: str, key: str, source: str, named_max: int = NAMED_MAX
) -> tuple[list[Row], Unknown]:
    """Returns the items of a file with their places, and where in it unknown keys stand. Its shapes: an array; an
    object with one under `plural` or "definitions"; an object with the items by their names.

    Errors:
        Invalid (`invalid`): it is no JSON, or of no such shape.
        InvalidCommand (`invalid-command`): a field has a value of another type, or a secret in clear.
        LimitExceeded (`limit-exceeded`): over 4 MiB, or 1,000 items.
    """
    given, unknown = _parsed(data, source), Unknown(named_max)
    under = "$"
    if isinstance(given, Members):
        wrapped = [(name, inner) for name, inner in given if _folded(name) in (plural, "definitions") and _many(inner)]
        if len(wrapped) > 1:
            raise Invalid(f"{source}: {' and '.join(name for name, _ in wrapped)}: one list of {plural} is needed")
        if wrapped:
            ((name, inner),) = wrapped
            for other, _ in given:
                if other != name:
                    unknown.note("$", other)
            given, under = inner, _member("$", name)
    if isinstance(given, list) and len(given) > _ITEMS_MAX:
        what = f"{plural} of {source}"
        raise LimitExceeded(
            f"{what}: {len(given)} exceeds the limit of {_ITEMS_MAX}", what=what, limit=_ITEMS_MAX, actual=len(given)
        )
    found: list[tuple[str, Any, str]] = []
    if isinstance(given, Members):
        found = [(_member(under, name), one, name) for name, one in given]
    elif isinstance(given, list):
        found = [(join_path(under, place), one, "") for place, one in enumerate(given)]
    else:
        raise Invalid(f"{source}: an array of {plural}, or an object with them by {key}, is needed, not {_what(given)}")
    rows = []
    for at, one, name in found:
        made = _of(cls, one, at, source, unknown)
        if name and not getattr(made, key).strip():
            made = dataclasses.replace(made, **{key: name})
        rows.append(Row(at, one, made))
    return rows, unknown


def in_file(error: InvalidCommand, rows: Sequence[Row], plural: str, key: str, source: str) -> InvalidCommand:
    """Returns what the decider refused as an error of the file: it knows the fields of the items, and not where in
    which file they stand, nor how they are spelt there. An item that stands under its name has no `key` of its own."""
    field, value, rule = (error.attributes[name] for name in ("field", "value", "rule"))
    found = re.match(rf"{plural}\[(\d+)\]", field)
    if found is None or int(found[1]) >= len(rows):
        return error
    row = rows[int(found[1])]
    at, given = row.place, typing.cast(Any, row.given)
    for name, place in re.findall(r"\.(\w+)|\[(\d+)\]", field[found.end() :]):
        if place:
            at, given = join_path(at, int(place)), None
            continue
        members = {_folded(spelt): (spelt, value) for spelt, value in given} if isinstance(given, Members) else {}
        if given is row.given and name == key and name not in members:
            break
        spelt, given = members.get(_folded(name), (_camel(name), None))
        at = _member(at, spelt)
    return InvalidCommand(f"{source}: {at} {value!r} is not valid: {rule}", field=at, value=value, rule=rule)


def json_of(item: Any) -> dict[str, Any]:
    """Returns a message as plain JSON values; parts that are not there are left out."""
    shown = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if value is None or field.name == "version":
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, Secret):
            value = json_of(value)
        elif isinstance(value, Secret):
            value = value.reference
        elif isinstance(value, Mapping):
            value = {name: {"secret": one.reference} if isinstance(one, Secret) else one for name, one in value.items()}
        elif isinstance(value, tuple):
            value = list(value)
        shown[_camel(field.name)] = value
    return shown


def _parsed(data: bytes, source: str) -> Any:
    if len(data) > FILE_BYTES_MAX:
        raise LimitExceeded(
            f"bytes of {source}: {len(data)} exceeds the limit of {FILE_BYTES_MAX}",
            what=f"bytes of {source}",
            limit=FILE_BYTES_MAX,
            actual=len(data),
        )
    try:
        return json.loads(data, object_pairs_hook=Members)
    except json.JSONDecodeError as error:
        wrong = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        wrong = "it is no UTF-8"
    except (RecursionError, ValueError):
        wrong = "it is nested too deep, or a number in it is too long"
    # Outside of the handler: those errors carry the whole text with them.
    raise Invalid(f"{source} is no JSON: {wrong}")


def _many(inner: Any) -> bool:
    """Whether it holds items, and is none itself: an item says something in a text or number."""
    return isinstance(inner, list) and (
        not isinstance(inner, Members) or all(isinstance(one, Members) for _, one in inner)
    )


def _of(cls: type[T], given: Any, at: str, source: str, unknown: Unknown) -> T:
    if not isinstance(given, Members):
        raise _wrong(at, "an object", given, source)
    known = _fields(typing.cast(Hashable, cls))
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for name, value in given:
        field = known.get(_folded(name))
        if field is None:
            unknown.note(at, name)
        elif field[0] in values:
            raise _refused(_member(at, name), "it comes twice, whatever its case", source)
        else:
            values[field[0]] = _value(field[1], value, _member(at, name), source, unknown)
            spelt[field[0]] = name
    try:
        return cls(**{name: value for name, value in values.items() if value is not _DEFAULT})
    except InvalidCommand as error:
        # It knows the field, and not where.
        field_name, rule = error.attributes["field"], error.attributes["rule"]
        shown = error.attributes["value"]
    at = _member(at, spelt.get(field_name, field_name))
    raise InvalidCommand(f"{source}: {at} {shown!r} is not valid: {rule}", field=at, value=shown, rule=rule)


_DEFAULT: Final = object()
_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**63 - 1


def _value(hint: Any, given: Any, at: str, source: str, unknown: Unknown) -> Any:
    """What a field of that type is given; null is what it is where nothing is said."""
    if given is None:
        return _DEFAULT
    if typing.get_origin(hint) is types.UnionType:
        (hint,) = [one for one in typing.get_args(hint) if one is not types.NoneType]
    if hint is Secret:
        return _secret(given, at, source)
    if dataclasses.is_dataclass(hint):
        return _of(typing.cast("type[Any]", hint), given, at, source, unknown)
    if typing.get_origin(hint) is tuple:
        if not isinstance(given, list) or isinstance(given, Members):
            raise _wrong(at, "an array of texts", given, source)
        return tuple(_plain(str, one, join_path(at, place), source) for place, one in enumerate(given))
    if typing.get_origin(hint) is Mapping:
        if not isinstance(given, Members):
            raise _wrong(at, "an object of texts", given, source)
        values: dict[str, str | Secret] = {}
        for name, one in given:
            if name in values:
                raise _refused(_member(at, name), "it comes twice", source)
            if not is_text(name):
                raise _refused(_member(at, name), "a lone surrogate is no text", source)
            values[name] = _text_or_secret(name, one, _member(at, name), source)
        return values
    return _plain(hint, given, at, source)


def _plain(hint: type[T], given: Any, at: str, source: str) -> T:
    needed = {str: "a text", int: "a whole number", bool: "true or false"}[hint]
    if not isinstance(given, hint) or (hint is int and isinstance(given, bool)):
        raise _wrong(at, needed, given, source)
    if isinstance(given, str) and not is_text(given):
        raise _refused(at, "a lone surrogate is no text", source)
    if isinstance(given, int) and not _INTEGER_MIN <= given <= _INTEGER_MAX:
        raise _refused(at, "it is from −2⁶³ to 2⁶³−1", source)
    return given


def _secret(given: Any, at: str, source: str) -> Secret | None:
    if isinstance(given, Members) and [name for name, _ in given] == ["secret"]:
        given = given[0][1]
    reference = _plain(str, given, at, source)
    # A field that was left empty.
    return _referring(reference, at, source) if reference else None


def _referring(reference: str, at: str, source: str) -> Secret:
    try:
        return Secret(reference)
    except InvalidCommand as error:
        rule = error.attributes["rule"]
    raise _refused(at, rule, source)


def _text_or_secret(name: str, given: Any, at: str, source: str) -> str | Secret:
    if isinstance(given, Members):
        if [key for key, _ in given] != ["secret"]:
            raise _refused(at, 'a text, or {"secret": "env:NAME"}, is needed', source)
        return _referring(_plain(str, given[0][1], at, source), at, source)
    text = _plain(str, given, at, source)
    # Under such a name nothing but a reference is taken, so it needs no mark.
    return _referring(text, at, source) if text.strip() and is_secret_name(name) else text


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[str, Any]]:
    """Name and type of each field, by its key."""
    hints = typing.get_type_hints(cls)
    return {_folded(field.name): (field.name, hints[field.name]) for field in dataclasses.fields(cls)}


def _member(at: str, name: str) -> str:
    """The place of a member; of a long key its beginning."""
    return join_path(at, name if len(name) <= _KEY_SHOWN_MAX else f"{name[:_KEY_SHOWN_MAX]}…")


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _wrong(at: str, needed: str, given: Any, source: str) -> InvalidCommand:
    return _refused(at, f"{needed} is needed, not {_what(given)}", source)


def _refused(at: str, rule: str, source: str) -> InvalidCommand:
    return InvalidCommand(f"{source}: {at} is not valid: {rule}", field=at, value="…", rule=rule)


def _what(given: Any) -> str:
    match given:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case Members():
            return "an object"
        case _:
            return "an array"
