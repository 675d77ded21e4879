"""The mirror of a draft in a workspace: a copy for whoever looks there, which follows the commit.

Promises: it is what the store holds, read after the commit and looked at again after the write, so the one that comes
last leaves the newest; one that fails costs a warning in the receipt, never the commit; a file that mirrors another
scope's draft, or is none of ours, is left as it is. A process that is killed before it leaves the mirror of before:
the command again, the next one on the draft, or `mirror()` brings it up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from treering._calls import Look, Op
from treering._session import Home
from treering.stores.catalog_json import json_of
from treering.stores.receipt import Receipt
from treering.workspace import Workspace

T = TypeVar("T")

_TRIES: Final = 8
"""How often others may come between before it is left to them."""


def mirrored(home: Home, name: str, read: Callable[[], Any], receipt: Receipt[T]) -> Op[Receipt[T]]:
    """Returns the receipt of a command on a draft, with a warning if the mirror is not what the draft is now."""
    # A workspace of the caller's own may take its time.
    warning = yield Look(lambda: attempt(home, name, read), theirs=True)
    return warned(receipt, warning)


def warned(receipt: Receipt[T], *warnings: str | None) -> Receipt[T]:
    """Returns the receipt with these too."""
    more = tuple(warning for warning in warnings if warning is not None)
    return replace(receipt, warnings=receipt.warnings + more) if more else receipt


def attempt(home: Home, name: str, read: Callable[[], Any]) -> str | None:
    """Returns why the file does not mirror the draft now; None if it does, or if there is no workspace."""
    if home.workspace is None:
        return None
    try:
        why = _bring(home, home.workspace, name, read)
    except Exception as error:  # whatever a workspace raises: what is committed stays so
        why = f"{type(error).__name__}: {error}"
    return why and f"the draft is committed, but {name} in {home.workspace!r} does not mirror it: {why}"


def forgotten(home: Home, name: str, read: Callable[[], Any]) -> str | None:
    """Returns why the file still mirrors a draft of a scope that was erased; None if it does not."""
    if home.workspace is None:
        return None
    try:
        there = home.workspace.read(name)
        owner = None if there is None else _owner(there)
        if owner is None or owner["scope"] != home.scope:
            return None
        if owner["store"] != home.session.place:
            # This one, before it was moved? Only who moved it knows.
            return (
                f"{name} in {home.workspace!r} mirrors a scope of that name in {owner['store']}, and was left as it "
                "is: if this store was there before, remove it"
            )
        # The name may be in use again: then its draft is mirrored.
        why = _bring(home, home.workspace, name, read)
    except Exception as error:  # whatever a workspace raises: what is erased stays so
        why = f"{type(error).__name__}: {error}"
    return why and f"the scope is erased, but {name} in {home.workspace!r} still has its draft: {why}"


def _bring(home: Home, workspace: Workspace, name: str, read: Callable[[], Any]) -> str | None:
    owner = _of(home)
    for _ in range(_TRIES):
        draft = read()
        wanted = None if draft is None else _text(owner, draft)
        there = workspace.read(name)
        if there == wanted:
            return None
        if there is not None and (other := _owner(there)) != owner:
            return f"it is of {other or 'somebody else'}, and was left as it is; remove it, or take another workspace"
        if wanted is None:
            workspace.remove(name)
        elif there is None:
            # If another scope is first, it is its file.
            workspace.create(name, wanted)
        else:
            workspace.replace(name, wanted)
    return "others kept changing it"


def _of(home: Home) -> dict[str, str]:
    return {"store": home.session.place, "scope": home.scope}


def _text(owner: dict[str, str], draft: Any) -> bytes:
    item = None if draft.item is None else json_of(draft.item)
    record = {**owner, "updatedAtMs": draft.updated_at_ms, "draft": item}
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def _owner(data: bytes) -> dict[str, str] | None:
    try:
        record = json.loads(data)
        return {"store": record["store"], "scope": record["scope"]}
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
