"""What may stand in a user's own states, events and commands: frozen dataclasses of plain values, as maps of their
fields.

Promises: a class with a field that can't be kept is refused when it is looked at, by the field's name; a value that is
not what its field says is refused before anything is written; what is read back equals what was written.
Never: a value that can be changed in place is handed out.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias

from treering._core import Cid, MapCore
from treering.errors import Invalid
from treering.map import Map
from treering.vector import Vector

Opener: TypeAlias = Callable[[type, Cid], Any]
"""Makes the `Vector` or `Map` of the root that a field links to."""


class Unreadable(Exception):
    """Stored fields are not what the class says."""


class Fixed(dict[str, Any]):
    """A mapping that stays as it is: what a `Mapping` field is read back as."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a mapping in a state or an event can't be changed; make another one: {**mapping, key: value}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Fixed, (dict(self),)


class Shape(Protocol):
    """How values of one declared type are stored."""

    def put(self, value: Any, path: str) -> Any:
        """Returns what is stored: plain values, with collections as themselves. Invalid: it is no such value."""
        ...

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        """Returns the value again. Unreadable: that is not what was stored."""
        ...


def _wrong(path: str, value: object, what: str) -> Invalid:
    shown = repr(value)
    shown = shown if len(shown) <= 64 else shown[:64] + "…"
    return Invalid(f"{path} is {shown}, not {what}", field=path, rule=f"it is {what}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Scalar:
    """str, int, bool, bytes, None, Cid: exactly that type."""

    type: type
    name: str

    def put(self, value: Any, path: str) -> Any:
        if type(value) is not self.type:
            raise _wrong(path, value, self.name)
        return value

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        if type(stored) is not self.type:
            raise Unreadable(f"{path} is no {self.name}")
        return stored


class _Float:
    __slots__ = ()

    def put(self, value: Any, path: str) -> Any:
        if type(value) is int and -(2**53) <= value <= 2**53:
            return float(value)
        if type(value) is not float:
            raise _wrong(path, value, "a float")
        return value

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        if type(stored) is not float:
            raise Unreadable(f"{path} is no float")
        return stored


@dataclasses.dataclass(frozen=True, slots=True)
class _OneOf:
    """A Literal."""

    values: tuple[Any, ...]

    def _is_one(self, value: Any) -> bool:
        return any(value == known and type(value) is type(known) for known in self.values)

    def put(self, value: Any, path: str) -> Any:
        if not self._is_one(value):
            raise _wrong(path, value, f"one of {', '.join(map(repr, self.values))}")
        return value

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        if not self._is_one(stored):
            raise Unreadable(f"{path} is {stored!r}, none of {self.values}")
        return stored


@dataclasses.dataclass(frozen=True, slots=True)
class _Enum:
    type: type[Enum]

    def put(self, value: Any, path: str) -> Any:
        if type(value) is not self.type:
            raise _wrong(path, value, f"a {self.type.__name__}")
        return value.value

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        try:
            return self.type(stored)
        except ValueError:
            raise Unreadable(f"{path} is {stored!r}, no {self.type.__name__}") from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Optional:
    inner: Shape

    def put(self, value: Any, path: str) -> Any:
        return None if value is None else self.inner.put(value, path)

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        return None if stored is None else self.inner.take(stored, path, opener)


@dataclasses.dataclass(frozen=True, slots=True)
class _Tuple:
    """`tuple[T, ...]`, or of just these."""

    items: tuple[Shape, ...]
    any_length: bool

    def _shapes(self, length: int) -> tuple[Shape, ...] | None:
        if self.any_length:
            return self.items * length
        return self.items if length == len(self.items) else None

    def put(self, value: Any, path: str) -> Any:
        shapes = self._shapes(len(value)) if isinstance(value, tuple) else None
        if shapes is None:
            raise _wrong(path, value, "a tuple" if self.any_length else f"a tuple of {len(self.items)}")
        return [
            shape.put(item, f"{path}[{index}]") for index, (shape, item) in enumerate(zip(shapes, value, strict=True))
        ]

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        shapes = self._shapes(len(stored)) if isinstance(stored, list) else None
        if shapes is None:
            raise Unreadable(f"{path} is no list of that length")
        pairs = enumerate(zip(shapes, stored, strict=True))
        return tuple(shape.take(item, f"{path}[{index}]", opener) for index, (shape, item) in pairs)


@dataclasses.dataclass(frozen=True, slots=True)
class _Mapping:
    inner: Shape

    def put(self, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping) or isinstance(value, MapCore):
            raise _wrong(path, value, "a mapping")
        for key in value:
            if type(key) is not str:
                raise _wrong(path, value, "a mapping with keys of str")
        return {key: self.inner.put(item, f"{path}[{key!r}]") for key, item in value.items()}

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        if not isinstance(stored, dict):
            raise Unreadable(f"{path} is no map")
        return Fixed({key: self.inner.take(item, f"{path}[{key!r}]", opener) for key, item in stored.items()})


@dataclasses.dataclass(frozen=True, slots=True)
class _Collection:
    """A `Vector` or a `Map`: a link to its root."""

    type: type[Map[Any]] | type[Vector[Any]]

    def put(self, value: Any, path: str) -> Any:
        if not isinstance(value, self.type):
            raise _wrong(path, value, f"a treering.{self.type.__name__}")
        return value

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        found = opener(self.type, stored) if type(stored) is Cid else stored
        if not isinstance(found, self.type):
            raise Unreadable(f"{path} is no {self.type.__name__}")
        return found


class Record:
    """A frozen dataclass, as a map of its fields."""

    __slots__ = ("_fields", "has_collections", "type")

    def __init__(self, kind: type) -> None:
        self.type = kind
        self.has_collections = False
        self._fields: tuple[tuple[str, Shape, bool], ...] = ()

    def put(self, value: Any, path: str = "") -> dict[str, Any]:
        path = path or self.type.__name__
        if type(value) is not self.type:
            raise _wrong(path, value, f"a {self.type.__name__}")
        return {name: shape.put(getattr(value, name), f"{path}.{name}") for name, shape, _ in self._fields}

    def take(self, stored: Any, path: str = "", opener: Opener | None = None) -> Any:
        path = path or self.type.__name__
        if not isinstance(stored, dict):
            raise Unreadable(f"{path} is no map of fields")
        given = {}
        for name, shape, has_default in self._fields:
            if name in stored:
                given[name] = shape.take(stored[name], f"{path}.{name}", opener or _no_opener)
            elif not has_default:
                raise Unreadable(f"{path}.{name} is missing and has no default")
        try:
            return self.type(**given)
        except (ValueError, TypeError) as error:
            raise Unreadable(f"{path} can't be made of its fields: {error}") from error


def _no_opener(kind: type, cid: Cid) -> Any:
    raise Unreadable(f"no store to read {kind.__name__} {cid} from")


_SCALARS: Final[dict[Any, Shape]] = {
    str: _Scalar(str, "a str"),
    int: _Scalar(int, "an int"),
    bool: _Scalar(bool, "a bool"),
    bytes: _Scalar(bytes, "bytes"),
    type(None): _Scalar(type(None), "None"),
    None: _Scalar(type(None), "None"),
    Cid: _Scalar(Cid, "a Cid"),
    float: _Float(),
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
    abc.Sequence: "use tuple[…, ...], or treering.Vector for a long one",
    abc.Iterable: "use tuple[…, ...], or treering.Vector for a long one",
}

_records: dict[type, Record] = {}


def record(kind: type) -> Record:
    """Returns how a frozen dataclass is stored.

    Errors:
        Invalid (`invalid`): it is none, or a field of it can't be kept; `field`.
    """
    known = _records.get(kind)
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
    made = Record(kind)
    # Known before its fields are: one may hold others of its own kind.
    _records[kind] = made
    try:
        fields = []
        for field in dataclasses.fields(kind):
            path = f"{name}.{field.name}"
            if not field.init:
                raise Invalid(f"{path} is not given to its constructor; make it a property", field=path)
            shape = _shape(hints[field.name], path)
            has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            fields.append((field.name, shape, has_default))
            made.has_collections = made.has_collections or _has_collections(shape)
        made._fields = tuple(fields)
    except Invalid:
        del _records[kind]
        raise
    return made


def _has_collections(shape: Shape) -> bool:
    match shape:
        case _Collection():
            return True
        case _Optional(inner) | _Mapping(inner):
            return _has_collections(inner)
        case _Tuple(items):
            return any(map(_has_collections, items))
        case Record():
            return shape.has_collections
    return False


def _shape(hint: Any, path: str) -> Shape:
    hint = _named(hint)
    if isinstance(hint, abc.Hashable) and hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        left = [argument for argument in arguments if argument is not type(None)]
        if len(left) == 1:
            return _Optional(_shape(left[0], path))
        raise Invalid(f"{path} is of several types: it can be one, or one and None", field=path)
    if origin is Literal:
        if all(value is None or type(value) in (str, int, bool) for value in arguments):
            return _OneOf(arguments)
        raise Invalid(f"{path}: a Literal here is of str, int and bool", field=path)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return _Tuple((_shape(arguments[0], f"{path}[…]"),), True)
        return _Tuple(tuple(_shape(one, f"{path}[{index}]") for index, one in enumerate(arguments)), False)
    if origin in (abc.Mapping, types.MappingProxyType):
        if _named(arguments[0]) is not str:
            raise Invalid(f"{path}: the keys of a mapping are str", field=path)
        return _Mapping(_shape(arguments[1], f"{path}[…]"))
    bare = hint if origin is None else origin
    if bare in (Vector, Map):
        for argument in arguments:
            _expect_plain(argument, path)
        return _Collection(bare)
    if isinstance(bare, type):
        if issubclass(bare, Enum):
            if all(type(member.value) in (str, int) for member in bare):
                return _Enum(bare)
            raise Invalid(f"{path}: the values of {bare.__name__} are to be str or int", field=path)
        if dataclasses.is_dataclass(bare) and origin is None:
            return record(bare)
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
    return f"; {_HINTS[kind]}" if isinstance(kind, abc.Hashable) and kind in _HINTS else ""
