"""The peer of actors: the `eventsourcing` package on SQLite: WAL, one synced commit a command, an aggregate that is
loaded from its events for each. Its aggregate has the one field that ours changes; it has no snapshots unless told, and
none here.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Config(Aggregate):
    """The peer's `user_config`."""

    def __init__(self) -> None:
        self.default_model = ""

    @event("Updated")
    def update(self, default_model: str) -> None:
        self.default_model = default_model


class Peer:
    """The peer's `scope.user_config`."""

    def __init__(self, folder: Path) -> None:
        env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "peer.sqlite")}
        self.application = Application[UUID](env=env)
        config = Config()
        self.application.save(config)
        self.id = config.id

    def update(self, default_model: str) -> None:
        config: Config = self.application.repository.get(self.id)
        config.update(default_model)
        self.application.save(config)

    def update_often(self, times: int) -> None:
        config: Config = self.application.repository.get(self.id)
        for number in range(times):
            config.update(f"model {number}")
        self.application.save(config)

    def get(self) -> str:
        config: Config = self.application.repository.get(self.id)
        return config.default_model


def timed(call: Callable[[], object], rounds: int) -> float:
    """Returns the median of `rounds` calls in µs."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1000
