"""Clocks, chance and the outside world, seen where they are called: by a look at each built-in function that Python
code calls on this thread.

Promises: what is watched runs as always; who looked before looks again afterwards.
Never: what is called is replaced, or another thread looked at.
"""

from __future__ import annotations

import _random
import _thread
import gc
import io
import random
import sys
import time
from datetime import date
from typing import Any, Final

from treering._core import Core, OwnCore, StoresCore, ThreadsCore

_CLOCKS: Final = tuple(
    getattr(time, name + unit)
    for name in (
        "time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "localtime", "gmtime",
        "ctime", "asctime", "strftime", "sleep",
    )
    for unit in ("", "_ns")
    if hasattr(time, name + unit)
)  # fmt: skip
_OUTSIDE: Final = (open, io.open_code, input, _thread.start_new_thread)
_OUTSIDE_MODULES: Final = {
    name: name.removeprefix("_")
    for name in ("_socket", "select", "_posixsubprocess", "_winapi", "_sqlite3", "_ssl", "fcntl", "mmap", "resource")
} | {"posix": "os", "nt": "os"}
_OF_TEXT: Final = (
    "fspath", "strerror", "major", "minor", "makedev", "_path_normpath", "_path_splitroot", "_path_splitroot_ex",
    "waitstatus_to_exitcode",
)  # fmt: skip
"""Functions of `os` that ask nobody."""
_OF_DATES: Final = ("now", "utcnow", "today")
_OF_CHANCE: Final = ("random", "getrandbits", "seed", "getstate", "setstate")
_OF_FILES: Final = ("read", "read1", "readall", "readinto", "readinto1", "readline", "readlines", "peek")
_STORES: Final = (Core, StoresCore, ThreadsCore, OwnCore)
_SEED: Final = random.Random.seed.__code__
_LOOKS_ASIDE: Final = (
    "logging", "treering", "linecache", "_strptime", "encodings", "zipimport", "importlib._bootstrap",
    "importlib._bootstrap_external", "_frozen_importlib", "_frozen_importlib_external",
)  # fmt: skip
"""Modules that do such things for themselves, and tell the caller nothing of it."""


class Watch:
    """A block in which calls are looked at, on this thread."""

    __slots__ = ("_before", "_chances", "_collects", "_looks", "seen")

    def __init__(self, chance: random.Random | None = None) -> None:
        self.seen: str | None = None
        """The first call that is none of a pure function; None if there was none."""
        # Generators that were seeded here give the same each time, as the one that was given does.
        self._chances: list[Any] = [] if chance is None else [chance]

    def __enter__(self) -> None:
        self._before, self._collects = sys.getprofile(), gc.isenabled()
        # A profiler that is written in C could not be put back: then nothing is looked at.
        self._looks = self._before is None or callable(self._before)
        if self._looks:
            # What runs with a collection of Python's is nobody's doing here.
            gc.disable()
            sys.setprofile(self._look)

    def __exit__(self, *_: object) -> None:
        if self._looks:
            sys.setprofile(self._before)
            if self._collects:
                gc.enable()

    def _look(self, frame: Any, event: str, called: Any) -> None:
        if event == "call" and frame.f_code is _SEED and frame.f_locals.get("a") is not None:
            self._chances.append(frame.f_locals["self"])
        if event != "c_call" or self.seen is not None:
            return
        owner = getattr(called, "__self__", None)
        name = getattr(called, "__name__", "")
        if isinstance(owner, _STORES):
            self.seen = f"{type(owner).__name__.removesuffix('Core').lower() or 'a store'}.{name} of a store"
        elif not _looks_aside(str(frame.f_globals.get("__name__", ""))):
            self.seen = self._forbidden(called, owner, name)

    def _forbidden(self, called: Any, owner: Any, name: str) -> str | None:
        if any(called is one for one in _CLOCKS):
            return f"time.{name}"
        module = str(getattr(called, "__module__", None) or type(owner).__module__)
        if any(called is one for one in _OUTSIDE):
            return f"{module}.{name}".removeprefix("_io.").removeprefix("io.").removeprefix("builtins.")
        if module in _OUTSIDE_MODULES and name not in _OF_TEXT and not name.startswith("W"):
            return f"{_OUTSIDE_MODULES[module]}.{name}"
        if name in _OF_DATES and isinstance(owner, type) and issubclass(owner, date):
            return f"{owner.__name__}.{name}"
        if name in _OF_CHANCE and isinstance(owner, _random.Random) and not any(owner is one for one in self._chances):
            return f"random.{name}"
        if name in _OF_FILES and isinstance(owner, io.IOBase) and not isinstance(owner, io.BytesIO | io.StringIO):
            return f"{type(owner).__name__}.{name}"
        if type(owner).__module__ in _OUTSIDE_MODULES:
            return f"{_OUTSIDE_MODULES[type(owner).__module__]}.{name}"
        return None


def _looks_aside(module: str) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in _LOOKS_ASIDE)
