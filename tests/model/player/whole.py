"""All that is in a store, as its users see it."""

from typing import Any

import treering
from player.breaking import entry_told
from player.core import Core


class Whole(Core):
    """Verbs that answer with everything."""

    def dump(self) -> dict[str, Any]:
        scopes = [self.store.scope(name) for name in self.store.scopes()]
        return {
            "threads": {
                thread.id: self.whole(scope.name, thread) for scope in scopes for thread in scope.threads.list()
            },
            "pins": {(scope.name, name): cid for scope in scopes for name, cid in scope.pins.list().items()},
            "quarantined": {entry.entry: entry_told(entry) for entry in self.store.refs.quarantined()},
        }

    @staticmethod
    def whole(scope: str, thread: Any) -> dict[str, Any]:
        return {
            "scope": scope,
            "key": thread.key,
            "status": thread.status,
            "labels": dict(thread.labels),
            "prompt": thread.prompt,
            "error": thread.error,
            "forked_from": thread.forked_from,
            "steps": [(step.role, step.content) for step in thread],
            "back": [step.number for step in reversed(thread)],
            "context": [step.number for step in thread.context().steps],
            "artifacts": {step.number: dict(step.artifacts) for step in thread if step.artifacts},
        }

    def refs(self) -> dict[str, tuple[int | None, treering.Cid | None]]:
        """Where every ref stands: its version and its target."""
        return {ref.name: (ref.version, ref.target) for ref in self.store.refs.list()}

    def verify(self) -> list[str]:
        return [str(finding) for finding in self.store.verify().findings]

    def commits(self) -> int:
        count: int = self.store.stats()["commits"]
        return count

    # Elsewhere: what came there.

    def there(self, store: Any) -> dict[str, Any]:
        return Whole(store, self.clock, self.api).dump()

    def backup(self, path: str) -> dict[str, Any]:
        """All that is in the backup that was made or brought up to date, which is sound."""
        self.store.backup(path)
        with self.api.open(path, read_only=True) as backup:
            assert backup.verify().ok
            return self.there(backup)

    def restore(self, path: str, to: str) -> dict[str, Any]:
        """All that is in a store that was made of a backup, which takes commits."""
        self.api.restore(path, to)
        with self.api.open(to) as restored:
            assert restored.verify().ok
            dump = self.there(restored)
            restored.put(b"it lives")
            return dump

    def copy(self) -> dict[str, Any]:
        """All that is in a copy."""
        with self.api.memory() as copy:
            self.store.copy_to(copy)
            assert copy.verify().ok
            return self.there(copy)

    def travel(self, h: int, path: str) -> dict[str, Any]:
        """The thread, as it comes out of a CAR file in another store."""
        thread = self.threads[h]
        thread.export(path)
        with self.api.memory() as elsewhere:
            scope = elsewhere.scope(thread.scope)
            (there,) = scope.import_car(path).threads
            assert elsewhere.verify().ok
            return self.whole(thread.scope, scope.threads.get(there))

    def move_out(self, scope: str, path: str) -> dict[str, Any]:
        """All threads of a scope, as they come out of a CAR file in another store."""
        self.store.scope(scope).export(path)
        with self.api.memory() as elsewhere:
            elsewhere.scope(scope).import_car(path)
            assert elsewhere.verify().ok
            threads: dict[str, Any] = self.there(elsewhere)["threads"]
            return threads
