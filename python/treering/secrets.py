"""Secrets: where one is found, never what it is. A `Secret` is a reference, and `resolve` reads it when it is used.

Promises: a secret in clear gets into no `Secret`, into no object of `treering.messages` under a name that tells that
it is one, and so into no block, event, receipt or repr; an error names the field and the rule, never the value.
Never: what was read is kept or logged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from treering._core import check_clear_value, check_secret_reference, is_secret_name
from treering.errors import InvalidCommand, NotFound, Unavailable

__all__ = ["Secret", "Values", "is_secret_name", "resolve", "resolve_all"]

_BYTES_MAX: Final = 64 << 10
"""Of a file that holds a secret: a password or a key, no archive."""
_ENV: Final = "env:"
_FILE: Final = "file:"


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is found: `Secret("env:NAME")`, a variable of the environment, or `Secret("file:PATH")`.

    Errors:
        InvalidCommand (`invalid-command`): it is no such reference. It may be the secret itself, so it is not shown.
    """

    reference: str
    """`env:NAME` or `file:PATH`."""

    def __post_init__(self) -> None:
        if not isinstance(self.reference, str):  # a caller without a type checker
            raise TypeError(f"Secret: str is needed here, not {type(self.reference).__name__}")
        check_secret_reference("Secret", self.reference)

    @classmethod
    def stored(cls, reference: str) -> Secret:
        """Returns one as it was stored, perhaps by a version that knows other references."""
        made = object.__new__(cls)
        object.__setattr__(made, "reference", reference)
        return made

    def __repr__(self) -> str:
        # One that was not checked may be the secret itself.
        kind, colon, _ = self.reference.partition(":")
        return f"Secret({self.reference!r})" if colon and kind.isalpha() else "Secret('…')"


class Values(Mapping[str, str | Secret]):
    """Texts by name, and secrets in their place, in the order of the names; it does not change. Any mapping is taken
    where one is asked for."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str | Secret], /) -> None:
        # A caller without a type checker is told by who writes it.
        self._items = dict(sorted(items.items(), key=lambda item: str(item[0])))

    def __getitem__(self, name: str) -> str | Secret:
        return self._items[name]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Values, (self._items,)

    def __repr__(self) -> str:
        shown = (f"{name!r}: {_shown(name, value)}" for name, value in self._items.items())
        return "{" + ", ".join(shown) + "}"


NO_VALUES: Final = Values({})


def resolve(value: Secret | str) -> str:
    """Returns the secret that a reference leads to, read now; a text as it is. Of a file: without one line feed at
    its end.

    Errors:
        NotFound (`not-found`): the variable is not set or empty, or the file is not there or empty.
        Unavailable (`unavailable`): the file can't be read, is no UTF-8, or larger than 64 KiB.
        InvalidCommand (`invalid-command`): a reference of a kind that this version does not know.

    Example:
        >>> import os, treering
        >>> os.environ["SEARCH_TOKEN"] = "s3cr3t"
        >>> treering.secrets.resolve(treering.Secret("env:SEARCH_TOKEN"))
        's3cr3t'
    """
    if isinstance(value, str):
        return value
    reference = value.reference
    if reference.startswith(_ENV):
        found = os.environ.get(reference.removeprefix(_ENV), "")
    elif reference.startswith(_FILE):
        found = _read(reference)
    else:
        raise InvalidCommand(f"{value!r} is of a kind that this version does not know: upgrade treering")
    if not found:
        raise NotFound(f"no secret at {reference}: it is not set, or empty", which=reference)
    return found


def resolve_all(values: Mapping[str, str | Secret]) -> dict[str, str]:
    """Returns headers or an environment as they are used: each secret read now, the texts as they are.

    Errors:
        As `resolve`.
    """
    return {name: resolve(value) for name, value in values.items()}


def checked_secret(field: str, value: Secret | str | None) -> Secret | None:
    """Returns what a field holds that takes secrets alone."""
    if value is None or isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        # Perhaps the secret itself, which no repr is to show.
        raise InvalidCommand(
            f"{field} '…' is not valid: a Secret is needed, not {type(value).__name__}",
            field=field,
            value="…",
            rule=f"a Secret is needed, not {type(value).__name__}",
        )
    # Without a type checker, or out of a file: it is a reference, or refused.
    check_secret_reference(field, value)
    return Secret.stored(value)


def checked_values(field: str, values: Any) -> Any:
    """Returns the values of a field, none of them a secret in clear under a name that tells."""
    if not isinstance(values, Mapping):  # a caller without a type checker; who writes it is told
        return values
    for name, value in values.items():
        if isinstance(name, str) and isinstance(value, str) and value.strip():
            check_clear_value(field, name)
    return Values(values)


def _shown(name: str, value: str | Secret) -> str:
    return "…" if isinstance(value, str) and is_secret_name(str(name)) else repr(value)


def _read(reference: str) -> str:
    try:
        path = Path(reference.removeprefix(_FILE)).expanduser()
    except RuntimeError:
        raise Unavailable(f"no secret at {reference}: nobody knows whose home that is", which=reference) from None
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise Unavailable(f"no secret at {reference}: {error.strerror}", which=reference) from None
    if len(data) > _BYTES_MAX:
        raise Unavailable(f"no secret at {reference}: it is larger than {_BYTES_MAX >> 10} KiB", which=reference)
    text = data.decode(errors="replace")
    if text.encode() != data:
        raise Unavailable(f"no secret at {reference}: it is no UTF-8", which=reference)
    return text.removesuffix("\n").removesuffix("\r")
