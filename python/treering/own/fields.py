"""What may stand in a user's own states, events and commands: which fields a class has, and of which shapes.

Promises: a class with a field that can't be kept is refused when it is looked at, by the field's name, and each time
that it is. Never: a class is known of which, or of one in it, not everything is.
"""

from __future__ import annotations

import dataclasses
import threading
import types
import typing
from collections import abc
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar

from treering._core import Cid
from treering.errors import Invalid
from treering.map import Map
from treering.own.shapes import (
    Collection,
    EnumOf,
    Float,
    MappingOf,
    OneOf,
    OptionalOf,
    Record,
    Scalar,
    Shape,
    TupleOf,
    settle_all,
)
from treering.vector import Vector

_SCALARS: Final[dict[Any, Shape]] = {
    str: Scalar(str, "a str"),
    int: Scalar(int, "an int"),
    bool: Scalar(bool, "a bool"),
    bytes: Scalar(bytes, "bytes"),
    type(None): Scalar(type(None), "None"),
    None: Scalar(type(None), "None"),
    Cid: Scalar(Cid, "a Cid"),
    float: Float(),
}
_PLAIN: Final = (str, int, float, bool, bytes, None, type(None), Cid, Any, object)
"""What elements of a `Vector` or `Map` come back as they were put."""
_HINTS: Final[dict[Any, str]] = {
    list: "use tuple[…, ...], or treering.Vector for a long one",
    dict: "use Mapping[str, …], or treering.Map for a large one",
    set: "use tuple[…, ...], or treering.Map",
    frozenset: "use tuple[…, ...], or treering.Map",
    datetime: "use an int of Unix milliseconds named …_at_ms, with a property for the datetime",
    date: "use a str of ISO 8601",
    object: "say what it is",
    Any: "say what it is",
    bytearray: "use bytes",
    tuple: "say of what: tuple[…, ...]",
    abc.Mapping: "say of what: Mapping[str, …]",
    types.MappingProxyType: "say of what: Mapping[str, …]",
    abc.Sequence: "use tuple[…, ...], or treering.Vector for a long one",
    abc.Iterable: "use tuple[…, ...], or treering.Vector for a long one",
}

T = TypeVar("T")
Found: TypeAlias = dict[type, Record]

_records: Final[Found] = {}
"""Classes that are known, with all that is in them."""
_looking: Final = threading.RLock()


def record(kind: type) -> Record:
    """Returns how a frozen dataclass is stored.

    Errors:
        Invalid (`invalid`): it is none, or a field of it can't be kept; `field`.
    """
    known = _records.get(kind)
    if known is not None:
        return known
    with _looking:
        # Those that are looked at together, since one may hold the other: all of them are known afterwards, or none.
        found: Found = {}
        try:
            made = _record(kind, found)
        except RecursionError:
            name = _shown(kind)
            raise Invalid(
                f"{name} holds a type that is made of itself; make a frozen dataclass of it", field=name
            ) from None
        settle_all(found.values())
        _records.update(found)
        return made


def _record(kind: type, found: Found) -> Record:
    known = _records.get(kind) or found.get(kind)
    if known is not None:
        return known
    name = getattr(kind, "__name__", repr(kind))
    if not dataclasses.is_dataclass(kind):
        raise Invalid(f"{name} is no dataclass; make it one: @dataclass(frozen=True)", field=name)
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise Invalid(f"{name} can be changed in place; make it @dataclass(frozen=True)", field=name)
    try:
        hints = typing.get_type_hints(kind)
    except NameError as error:
        raise Invalid(f"{name}: {error}; its fields' types are looked up in its module", field=name) from None
    # Before its fields: one may hold others of its own kind.
    made = found[kind] = Record(kind)
    for name_of, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar) and not hasattr(kind, name_of):
            path = f"{name}.{name_of}"
            raise Invalid(
                f"{path} is given to the constructor and not kept, so it can't be given again; make it a field, or "
                "give it a default",
                field=path,
            )
    fields = []
    for field in dataclasses.fields(kind):
        path = f"{name}.{field.name}"
        if not field.init:
            raise Invalid(f"{path} is not given to its constructor; make it a property", field=path)
        shape = _shape(hints[field.name], path, found)
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        fields.append((field.name, shape, has_default))
    made.describe(fields)
    return made


def _shape(hint: Any, path: str, found: Found) -> Shape:
    hint = _named(hint)
    scalar = _looked_up(_SCALARS, hint)
    if scalar is not None:
        return scalar
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        left = [argument for argument in arguments if argument is not type(None)]
        if len(left) == 1:
            return OptionalOf(_shape(left[0], path, found))
        raise Invalid(f"{path} is of several types: it can be one, or one and None", field=path)
    if origin is Literal:
        if all(value is None or type(value) in (str, int, bool) for value in arguments):
            return OneOf(arguments)
        raise Invalid(f"{path}: a Literal here is of str, int and bool", field=path)
    if origin is tuple and hint is not typing.Tuple:  # noqa: UP006 - the old form, that says of nothing
        if len(arguments) == 2 and arguments[1] is ...:
            return TupleOf((_shape(arguments[0], f"{path}[…]", found),), True)
        return TupleOf(tuple(_shape(one, f"{path}[{index}]", found) for index, one in enumerate(arguments)), False)
    if origin in (abc.Mapping, types.MappingProxyType) and len(arguments) == 2:
        if _named(arguments[0]) is not str:
            raise Invalid(f"{path}: the keys of a mapping are str", field=path)
        return MappingOf(_shape(arguments[1], f"{path}[…]", found))
    bare = hint if origin is None else origin
    if bare in (Vector, Map):
        for argument in arguments:
            _expect_plain(argument, path)
        return Collection(bare)
    if isinstance(bare, type):
        if issubclass(bare, Enum):
            if all(type(member.value) in (str, int) for member in bare):
                return EnumOf(bare)
            raise Invalid(f"{path}: the values of {bare.__name__} are to be str or int", field=path)
        if dataclasses.is_dataclass(bare) and origin is None:
            return _record(bare, found)
    raise Invalid(f"{path} is {_shown(hint)}, which can't be kept{_hint(bare)}", field=path)


def _named(hint: Any) -> Any:
    """What a NewType, an alias or an annotation stands for."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _expect_plain(hint: Any, path: str) -> None:
    """Elements of a collection come back as plain values, so they are declared as such."""
    hint = _named(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN or isinstance(hint, typing.TypeVar):
        return
    if origin in (typing.Union, types.UnionType, list, dict, abc.Mapping, abc.Sequence):
        for argument in arguments:
            _expect_plain(argument, path)
        return
    raise Invalid(
        f"{path}: elements of a Vector or Map come back as plain values, {_shown(hint)} would not; use str, int, "
        "float, bool, bytes, Cid, or lists and dicts of them",
        field=path,
    )


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _hint(kind: Any) -> str:
    hint = _looked_up(_HINTS, kind)
    return "" if hint is None else f"; {hint}"


def _looked_up(table: Mapping[Any, T], hint: Any) -> T | None:
    try:
        return table.get(hint)
    except TypeError:  # It has no hash: Literal[[1]].
        return None
