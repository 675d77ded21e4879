"""Which files of a folder hold what, by their names alone. Never: follows a symbolic link, opens anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from treering.errors import Invalid
from treering.importing.contents import FOLDERS
from treering.importing.fields import folded
from treering.importing.report import Kind

#: Folders inside one another that are looked into.
DEPTH_MAX: Final = 16
THREAD_ENDING: Final = ".data.jsonl"
_KINDS: Final[dict[str, Kind]] = {
    "config": "config", "userconfig": "config",
    "actors": "actors", "agents": "actors",
    "memory": "memory", "usermemory": "memory",
    "connectors": "connectors",
    "roles": "roles",
}  # fmt: skip
_CHAT_FOLDERS: Final = ("chats", "chathistory", "chathistories", "conversations")
_INDEX: Final = "index.json"
_CHAT_ENDINGS: Final = (".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Found:
    """A file, what it holds, and if it is not to be read, why."""

    path: Path
    name: str
    """From the folder that was given."""
    kind: Kind | None
    skipped: str | None = None
    follow: bool = False


def find(path: Path, kind: Kind | None) -> Iterator[Found]:
    """Yields what there is: of a folder all files, by name; of a file that one. `kind` says what it holds.

    Raises `Invalid` where nothing says what a file holds, or `kind` what no folder can.
    """
    if path.is_dir():
        if kind not in (None, "chat"):
            raise Invalid(f"{path}: a folder can only be of the kind chat, not {kind}", what="kind", value=kind)
        yield from _walk(path, "", kind == "chat" or _is_chats(path), 1)
        return
    kind = kind or _kind_of(path.name, _is_chats(path.absolute().parent))
    if kind is None:
        raise Invalid(f"{_plain(path.name)}: its name does not say what it holds; give its kind", what="kind")
    yield Found(path, _plain(path.name), kind, follow=True)


def _is_chats(folder: Path) -> bool:
    return folded(folder.name) in _CHAT_FOLDERS


def _walk(folder: Path, before: str, in_chats: bool, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Found(folder, before or ".", None, f"it can't be opened: {error.strerror}")
        return
    for entry in listed:
        path, name = folder / entry.name, before + _plain(entry.name)
        if entry.is_symlink():
            yield Found(path, name, None, "a symbolic link is not followed")
        elif entry.is_dir():
            if entry.name in FOLDERS:
                yield Found(path, f"{name}/", None, "contents are read where a thread log names them")
            elif depth == DEPTH_MAX:
                yield Found(path, f"{name}/", None, f"folders are looked into {DEPTH_MAX} deep")
            else:
                yield from _walk(path, f"{name}/", _is_chats(path), depth + 1)
        elif not entry.is_file():
            yield Found(path, name, None, "it is no regular file")
        else:
            kind = _kind_of(entry.name, in_chats)
            yield Found(path, name, kind, None if kind is not None else "its name is not known")


def _kind_of(name: str, in_chats: bool) -> Kind | None:
    if name.endswith(THREAD_ENDING):
        return "thread"
    if in_chats:
        return "chat-index" if name == _INDEX else "chat" if name.endswith(_CHAT_ENDINGS) else None
    stem, dot, ending = name.rpartition(".")
    return _KINDS.get(folded(stem)) if dot and ending.lower() == "json" else None


def _plain(name: str) -> str:
    """A name as text: bytes of it that are none are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")
