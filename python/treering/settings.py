"""What an application sets for the built-in stores."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from treering.errors import Invalid


def checked(settings: Settings | None) -> Settings:
    """Returns what a caller gave, or the defaults."""
    if settings is None:
        return Settings()
    if not isinstance(settings, Settings):  # a caller without a type checker
        raise TypeError(f"settings must be a treering.Settings, not {type(settings).__name__}")
    return settings


def _count(default: int | None, most: int) -> Any:
    return field(default=default, metadata={"most": most})


def _is_text(value: str) -> bool:
    """Whether it has no lone surrogate."""
    return value.encode(errors="ignore").decode() == value


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and defaults of the built-in stores, for what is done through one handle: `treering.open(…, settings=)`.

    They come in with a command, and what follows from them stands in its event. So another setting later on changes
    what is written from then on, and nothing that was written before: neither a state of the past nor one of now. But
    for `history_events`: it lets go of what was written before.

    Errors:
        Invalid (`invalid`): a number is out of its range, or a URL is not as it would be stored.
    """

    memory_entries: int = _count(50, 100)
    """Entries of a memory that are kept, 1 to 100. Beyond it an addition evicts; a smaller one evicts with the next."""
    chat_messages: int = _count(500, 100_000)
    """Newest messages of a conversation that are kept, 1 to 100,000."""
    file_bytes: int = _count(50 << 20, 64 << 30)
    """Bytes of one file that are taken, 1 to 64 GiB; 50 MiB unless it is set. What is there already stays, whatever its
    size."""
    local_runtime_base_url: str = "http://127.0.0.1:5080"
    """What a blank `UserConfig.local_runtime_base_url` is stored as, and what it is where nothing was ever written."""
    remote_runtime_base_url: str = ""
    """The same of `remote_runtime_base_url`."""
    history_events: int | None = _count(None, 1_000)
    """Newest events of each actor that are kept at least, 1 to 1,000; None keeps all. What is older goes for good, as
    with a `trim`, in commits of this handle that write to the actor, once there are about twice as many. A scope's
    retention policy (`Scope.retention`) holds nothing back from it, nor it from that: the shorter one decides."""
    development: bool = False
    """Development mode: each command of an actor of your own is decided twice, and watched, so that a `decide` or
    `evolve` that is not pure raises `ImpureDecider`. Some times slower."""

    def __post_init__(self) -> None:
        for known in fields(self):
            value = getattr(self, known.name)
            if known.name == "development":
                if not isinstance(value, bool):
                    raise Invalid(f"development {value!r} is not True or False")
            elif "most" in known.metadata:
                most = known.metadata["most"]
                if value is None and known.default is None:
                    continue
                if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                    raise Invalid(f"{known.name} {value!r} is not a number from 1 to {most:,}")
            elif (
                not isinstance(value, str)
                or not _is_text(value)
                or value != value.strip().rstrip("/")
                or len(value.encode()) > 2048
            ):
                raise Invalid(
                    f"{known.name} {value!r} is no URL of at most 2,048 bytes without blanks or a slash at its end"
                )
