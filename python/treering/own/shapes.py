"""How values of plain types, and frozen dataclasses of them, are stored and read back.

Promises: a value that is not what its field says is refused, by the field's name; what is read back equals what was
put, and is in the order of the stored form; a stored field that a class does not know is found.
Never: a value that can be changed in place is handed out.
"""

from __future__ import annotations

import dataclasses
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias

from treering._core import Cid, MapCore
from treering.codec import encode
from treering.errors import Invalid
from treering.map import Map
from treering.vector import Vector

Opener: TypeAlias = Callable[[type, Cid], Any]
"""Makes the `Vector` or `Map` of the root that a field links to."""
_WRITTEN: Final = "__dataclass_builtins_object__"
"""What a frozen dataclass's constructor calls if `dataclass` wrote it."""


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
class Scalar:
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


class Float:
    __slots__ = ()

    type = float

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
class OneOf:
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
class EnumOf:
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
class OptionalOf:
    inner: Shape

    def put(self, value: Any, path: str) -> Any:
        return None if value is None else self.inner.put(value, path)

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        return None if stored is None else self.inner.take(stored, path, opener)


@dataclasses.dataclass(frozen=True, slots=True)
class TupleOf:
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
        if self.any_length and _are_plain(value, self.items[0]):
            return list(value)
        return [
            shape.put(item, f"{path}[{index}]") for index, (shape, item) in enumerate(zip(shapes, value, strict=True))
        ]

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        shapes = self._shapes(len(stored)) if isinstance(stored, list) else None
        if shapes is None:
            raise Unreadable(f"{path} is no list of that length")
        if self.any_length and _are_plain(stored, self.items[0]):
            return tuple(stored)
        pairs = enumerate(zip(shapes, stored, strict=True))
        return tuple(shape.take(item, f"{path}[{index}]", opener) for index, (shape, item) in pairs)


@dataclasses.dataclass(frozen=True, slots=True)
class MappingOf:
    inner: Shape

    def put(self, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping) or isinstance(value, MapCore):
            raise _wrong(path, value, "a mapping")
        if not _are_all(value, str):
            raise _wrong(path, value, "a mapping with keys of str")
        ordered = {key: value[key] for key in _in_stored_order(value)}
        if _are_plain(ordered.values(), self.inner):
            return ordered
        return {key: self.inner.put(item, f"{path}[{key!r}]") for key, item in ordered.items()}

    def take(self, stored: Any, path: str, opener: Opener) -> Any:
        if not isinstance(stored, dict):
            raise Unreadable(f"{path} is no map")
        if _are_plain(stored.values(), self.inner):
            return Fixed(stored)
        return Fixed({key: self.inner.take(item, f"{path}[{key!r}]", opener) for key, item in stored.items()})


def _in_stored_order(keys: Iterable[str]) -> list[str]:
    """Keys in the order in which DAG-CBOR has them, and so in which they are read back: the shorter first, by bytes."""
    ordered = list(keys)
    if "".join(ordered).isascii():
        ordered.sort()
        ordered.sort(key=len)
    else:
        ordered.sort(key=_stored_order)
    return ordered


def _stored_order(key: str) -> tuple[int, bytes]:
    # What is no Unicode is refused with the rest, when it is encoded.
    encoded = key.encode("utf-8", "surrogatepass")
    return len(encoded), encoded


def _are_all(values: Iterable[Any], kind: type) -> bool:
    return set(map(type, values)) <= {kind}


def _are_plain(values: Iterable[Any], shape: Shape) -> bool:
    """Whether they are stored as they are; else each is looked at by itself."""
    return isinstance(shape, Scalar | Float) and _are_all(values, shape.type)


@dataclasses.dataclass(frozen=True, slots=True)
class Collection:
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

    __slots__ = ("_fields", "_is_exact", "_is_remade", "_names", "_nested", "has_collections", "type")

    def __init__(self, kind: type) -> None:
        self.type = kind
        self.has_collections = False
        self._fields: tuple[tuple[str, Shape, bool], ...] = ()
        self._names: frozenset[str] = frozenset()
        self._nested: tuple[tuple[str, Shape], ...] = ()
        # Whether its constructor may do more than to keep what it is given.
        self._is_remade = not _keeps_what_it_is_given(kind)
        # Whether what is read back is the same as what was put, in each part.
        self._is_exact = not self._is_remade

    def describe(self, fields: list[tuple[str, Shape, bool]]) -> None:
        """Says what its fields are. What follows of what is in them is settled once all of those are known."""
        self._fields = tuple(fields)
        self._names = frozenset(name for name, _, _ in fields)
        self._nested = tuple((name, shape) for name, shape, _ in fields if _any_of(shape, _is_record))

    def _settle(self) -> bool:
        """Whether something else follows of what is in its fields than it seemed."""
        before = self._is_remade, self._is_exact, self.has_collections
        shapes = [shape for _, shape, _ in self._fields]
        self._is_remade = self._is_remade or any(_any_of(shape, _is_remade) for shape in shapes)
        self._is_exact = not self._is_remade and all(map(_is_exact, shapes))
        self.has_collections = any(_any_of(shape, _is_collection) for shape in shapes)
        return before != (self._is_remade, self._is_exact, self.has_collections)

    def put(self, value: Any, path: str = "") -> dict[str, Any]:
        """Returns the fields as they are stored.

        Errors:
            Invalid (`invalid`): one is not what it says, or it is nested too deep.
        """
        if path:
            return self._put(value, path)
        try:
            return self._put(value, self.type.__name__)
        except RecursionError:
            raise Invalid(f"{self.type.__name__} is nested too deep to be stored", field=self.type.__name__) from None

    def _put(self, value: Any, path: str) -> dict[str, Any]:
        if type(value) is not self.type:
            raise _wrong(path, value, f"a {self.type.__name__}")
        return {name: shape.put(getattr(value, name), f"{path}.{name}") for name, shape, _ in self._fields}

    def take(self, stored: Any, path: str = "", opener: Opener | None = None) -> Any:
        """Returns what is stored, made again; fields that it does not know are left out.

        Errors:
            Unreadable: it can't be.
        """
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

    def settled(self, value: Any) -> tuple[dict[str, Any], Any]:
        """Returns the fields as they are stored, and the value as it will be read back: equal, in the order of the
        stored form, and nothing in it can be changed in place.

        Errors:
            Invalid (`invalid`): as `put`; its constructor makes something else of the fields that it made.
        """
        stored = self.put(value)
        if self._is_exact:
            return stored, value
        name = self.type.__name__
        try:
            again = self.take(stored)
        except RecursionError:
            raise Invalid(f"{name} is nested too deep to be stored", field=name) from None
        except Unreadable as error:
            raise Invalid(f"{name} would not be read back: {error}", field=name) from error
        if self._is_remade and self.put(again) != stored:
            raise Invalid(
                f"{name} would be read back as {again!r:.80}, what was stored is {value!r:.80}: its "
                "__post_init__ must leave as they are the fields that it made, and so must a constructor of its own",
                field=name,
            )
        return stored, again

    def settle(self, value: Any) -> Any:
        """Returns the value as it will be read back. Invalid: as `settled`, but for what is exact in any case."""
        return value if self._is_exact else self.settled(value)[1]

    def unknown(self, stored: Any, path: str = "") -> str | None:
        """Returns the path of a stored field that this class does not know; None if it knows all."""
        path = path or self.type.__name__
        if not isinstance(stored, dict):
            return None
        if not stored.keys() <= self._names:
            return f"{path}.{min(stored.keys() - self._names)}"
        found = (_unknown(shape, stored[name], f"{path}.{name}") for name, shape in self._nested if name in stored)
        return next((one for one in found if one is not None), None)

    def changing_default(self) -> str | None:
        """Returns the path of a field, of it or of a record in it, whose default is another one with each call; None
        if there is none."""
        for known in self._reached():
            shapes = {name: shape for name, shape, _ in known._fields}
            for field in dataclasses.fields(known.type):
                path = f"{known.type.__name__}.{field.name}"
                if field.default_factory is not dataclasses.MISSING:
                    made = [shapes[field.name].put(field.default_factory(), path) for _ in range(2)]
                    if encode(made[0]) != encode(made[1]):
                        return path
        return None

    def _reached(self) -> list[Record]:
        """It and the records in it, each once."""
        reached = [self]
        for known in reached:
            for _, shape in known._nested:
                reached += [inner for inner in dict.fromkeys(_records_in(shape)) if inner not in reached]
        return reached


def settle_all(records: Iterable[Record]) -> None:
    """Settles records that may be in one another."""
    settling = list(records)
    while any(known._settle() for known in settling):
        pass


def _keeps_what_it_is_given(kind: type) -> bool:
    """Whether a value is made of its fields alone: by the constructor that `dataclass` wrote, and nothing beside."""
    if hasattr(kind, "__post_init__") or type(kind) not in (type, ABCMeta):
        return False
    if any(getattr(kind, name) is not getattr(object, name) for name in ("__new__", "__getattribute__")):
        return False
    # One that was written by hand stays, though `dataclass` says that it made one.
    code = getattr(getattr(kind, "__init__"), "__code__", None)  # noqa: B009 - of the class, not of an instance
    return _WRITTEN in getattr(code, "co_freevars", ()) or not dataclasses.fields(kind)


def _no_opener(kind: type, cid: Cid) -> Any:
    raise Unreadable(f"no store to read {kind.__name__} {cid} from")


def _any_of(shape: Shape, says: Callable[[Shape], bool]) -> bool:
    """Whether that is so of a shape, or of one in it; a record answers for what is in it."""
    match shape:
        case OptionalOf(inner) | MappingOf(inner):
            return _any_of(inner, says)
        case TupleOf(items):
            return any(_any_of(item, says) for item in items)
    return says(shape)


def _records_in(shape: Shape) -> list[Record]:
    match shape:
        case Record():
            return [shape]
        case OptionalOf(inner) | MappingOf(inner):
            return _records_in(inner)
        case TupleOf(items):
            return [known for item in items for known in _records_in(item)]
    return []


def _is_collection(shape: Shape) -> bool:
    return isinstance(shape, Collection) or (isinstance(shape, Record) and shape.has_collections)


def _is_record(shape: Shape) -> bool:
    return isinstance(shape, Record)


def _is_remade(shape: Shape) -> bool:
    return isinstance(shape, Record) and shape._is_remade


def _is_exact(shape: Shape) -> bool:
    """Whether what it takes is just what was put: not so of what is put in order, or made anew."""
    match shape:
        case OptionalOf(inner):
            return _is_exact(inner)
        case Record():
            return shape._is_exact
    return isinstance(shape, Scalar | OneOf | EnumOf | Collection)


def _unknown(shape: Shape, stored: Any, path: str) -> str | None:
    pairs: Iterable[tuple[Shape, Any, str]]
    match shape:
        case Record():
            return shape.unknown(stored, path)
        case OptionalOf(inner):
            pairs = [(inner, stored, path)]
        case TupleOf() if isinstance(stored, list):
            shapes = shape._shapes(len(stored)) or ()
            pairs = ((one, item, f"{path}[{n}]") for n, (one, item) in enumerate(zip(shapes, stored, strict=False)))
        case MappingOf(inner) if isinstance(stored, dict):
            pairs = ((inner, item, f"{path}[{key!r}]") for key, item in stored.items())
        case _:
            return None
    return next((one for one in (_unknown(*pair) for pair in pairs) if one is not None), None)
