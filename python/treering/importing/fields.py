"""The fields of an old object, asked for one by one: of the right type, or refused with their place.

A name is written `defaultModel`; case, `_` and `-` make no difference. `null` is as good as nothing. What nobody asked
for is noted as left out. An array may stand under a name of its own, or be an object by id or name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from treering.importing.moments import read_moment
from treering.importing.report import Notes, Refused, shown
from treering.strict_json import Unkept, join_path, unkept

#: What an array may stand under, whatever it is an array of.
_ANY_NOUN: Final = "definitions"


def folded(name: str) -> str:
    """A name without what makes no difference."""
    return name.lower().replace("_", "").replace("-", "")


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, with its article; of what can't be kept, why not."""
    if isinstance(value, Unkept):
        return value.reason
    for types, name in (
        (bool, "a boolean"), (str, "a text"), (int | float, "a number"), (list, "an array"), (dict, "an object"),
    ):  # fmt: skip
        if isinstance(value, types):
            return name
    return "null"


class Fields:
    """One object; raises `Refused` where it is none, or a field that is asked for is not what it must be."""

    __slots__ = ("_again", "_asked", "_line", "_members", "_notes", "_path")

    def __init__(self, value: Any, path: str, notes: Notes, line: int | None = None) -> None:
        self._path, self._notes, self._line = path, notes, line
        if not isinstance(value, dict):
            if isinstance(value, Unkept):
                raise Refused(path + value.below, value.reason, line)
            raise Refused(path, f"an object is expected, not {kind_of(value)}", line)
        self._members: dict[str, tuple[str, Any]] = {}
        #: Keys that are another form of one before; wrong only where somebody asks for the field.
        self._again: dict[str, str] = {}
        self._asked: set[str] = set()
        for key, member in value.items():
            if folded(key) in self._members:
                self._again[folded(key)] = key
            else:
                self._members[folded(key)] = (key, member)

    def has(self, name: str) -> bool:
        """Whether there is something, null too."""
        return folded(name) in self._members

    def key(self, name: str) -> str:
        """How a field's name is written, or would be."""
        return self._members.get(folded(name), (name, None))[0]

    def path(self, name: str) -> str:
        """Where a field is, or would be."""
        return join_path(self._path, self.key(name))

    def any(self, name: str) -> Any:
        """A JSON value; None where there is none."""
        self._asked.add(folded(name))
        key, value = self._members.get(folded(name), (name, None))
        if (again := self._again.get(folded(name))) is not None:
            raise Refused(join_path(self._path, again), f"it is the same field as {shown(key)}", self._line)
        if (found := unkept(value, self.path(name), 1)) is not None:
            raise Refused(*found, self._line)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A text; `default` where there is none."""
        value = self.any(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Refused(self.path(name), f"a text is expected, not {kind_of(value)}", self._line)
        return value

    def name(self, name: str) -> str:
        """A text that must be there and not be blank."""
        value = self.text(name)
        if not value.strip():
            raise Refused(self.path(name), "it is missing or blank", self._line)
        return value

    def number(self, name: str, least: int, most: int, default: int = 0) -> int:
        """An integer from `least` to `most`; `default` where there is none."""
        value = self.any(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(self.path(name), f"a number is expected, not {kind_of(value)}", self._line)
        if value != value // 1 or not least <= value <= most:
            raise Refused(
                self.path(name), f"an integer from {least} to {most} is expected, not {shown(value)}", self._line
            )
        return int(value)

    def moment(self, name: str) -> int | None:
        """Unix milliseconds; None where there is nothing."""
        value = self.any(name)
        if value is None or value == "":
            return None
        try:
            at_ms, changed = read_moment(value, self.path(name))
        except Refused as refused:
            raise Refused(refused.path, refused.reason, self._line) from None
        if changed is not None:
            self._notes.changed(self.path(name), changed, self._line)
        return at_ms

    def object(self, name: str) -> dict[str, Any]:
        """An object with whatever is in it; empty where there is none."""
        value = self.any(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refused(self.path(name), f"an object is expected, not {kind_of(value)}", self._line)
        return value

    def array(self, name: str) -> list[Any]:
        """An array; empty where there is none."""
        value = self.any(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Refused(self.path(name), f"an array is expected, not {kind_of(value)}", self._line)
        return value

    def end(self, but: Iterable[str] = ()) -> None:
        """Notes what nobody asked for, `but` what somebody else will."""
        for name, (key, _) in self._members.items():
            if name not in self._asked and name not in but:
                self._notes.left_out(join_path(self._path, key), "a field that is not known", self._line)


def elements(value: Any, nouns: Sequence[str], key: str, notes: Notes) -> Iterator[tuple[str, Any]]:
    """Yields the place and value of each element: of an array, of one that stands under a noun, or of an object by
    `key`, which its elements then need not hold themselves."""
    value, path = unwrapped(value, nouns, notes)
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield join_path(path, index), element
        return
    if not isinstance(value, dict):
        where = path + value.below if isinstance(value, Unkept) else path
        raise Refused(where, f"an array is expected, not {kind_of(value)}")
    for name, element in value.items():
        place = join_path(path, name)
        if isinstance(element, dict):
            own = next((member for own, member in element.items() if folded(own) == folded(key)), None)
            if own is None:
                element = {own: member for own, member in element.items() if folded(own) != folded(key)} | {key: name}
            elif own != name:
                notes.refused(place, f"it stands under {shown(name)}, and calls itself {shown(own)}")
                continue
        yield place, element


def unwrapped(value: Any, nouns: Sequence[str], notes: Notes) -> tuple[Any, str]:
    """The array itself, where it stands under a name of its own, and its place."""
    if not isinstance(value, dict):
        return value, "$"
    wanted = {folded(noun) for noun in (*nouns, _ANY_NOUN)}
    under = [name for name, member in value.items() if folded(name) in wanted and isinstance(member, list | dict)]
    if len(under) != 1 or (isinstance(value[under[0]], dict) and len(value) > 1):
        return value, "$"
    for name in value:
        if name != under[0]:
            notes.left_out(join_path("$", name), "a field that is not known")
    return value[under[0]], join_path("$", under[0])
