"""The power fails at every moment of drafts that are mirrored: the mirror never shows what the store has lost, and is
brought up to date."""

import json
from collections.abc import Callable

from treering import Store, testing
from treering.messages import Connector, Role

CONNECTORS, ROLES = "connectors_draft.json", "roles_draft.json"


class Files:
    """A workspace in memory that notes when something is in it."""

    def __init__(self, mark: Callable[[str], None] = lambda _: None) -> None:
        self.files: dict[str, bytes] = {}
        self.mark = mark

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def create(self, name: str, data: bytes) -> bool:
        made = self.files.setdefault(name, data) is data
        self.mark(self.shown())
        return made

    def replace(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self.mark(self.shown())

    def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self.mark(self.shown())

    def shown(self) -> str:
        """The number that each file says, -1 for none."""
        return json.dumps({name: self._number(name) for name in (CONNECTORS, ROLES)})

    def _number(self, name: str) -> int:
        data = self.files.get(name)
        if data is None:
            return -1
        draft = json.loads(data)["draft"]
        return int(draft["name"] if "name" in draft else draft["id"])


def life(store: Store, mark: Callable[[str], None]) -> None:
    alice = store.scope("alice").with_workspace(Files(mark))
    for number in range(10):
        alice.connectors.save_draft(Connector(name=str(number)), command_id=f"c{number}")
        if number % 2:
            alice.roles.save_draft(Role(id=str(number)), command_id=f"r{number}")


def hasty(store: Store, mark: Callable[[str], None]) -> None:
    """The obvious mistake: the file first."""
    alice = store.scope("alice")
    for number in range(3):
        mark(json.dumps({CONNECTORS: number, ROLES: -1}))
        alice.connectors.save_draft(Connector(name=str(number)))


def lost(store: Store, shown: dict[str, int]) -> list[str]:
    """What a mirror shows that the store does not know of."""
    alice = store.scope("alice")
    connector, role = alice.connectors.draft(), alice.roles.draft()
    known = {
        CONNECTORS: int(connector.item.name) if connector and connector.item else -1,
        ROLES: int(role.item.id) if role and role.item else -1,
    }
    return [name for name, number in shown.items() if number > known[name]]


def test_the_mirror_never_shows_what_the_store_lost() -> None:
    cuts = mirrored = 0
    for cut in testing.power_cuts(life, losses=["all", "random"]):
        cuts += 1
        with testing.open(cut.path) as store:
            assert store.verify().ok
            shown = json.loads(cut.marks[-1]) if cut.marks else {}
            mirrored += bool(shown)
            assert lost(store, shown) == []
            # What was not mirrored any more is, by the command again or by `mirror`, and only once in the store.
            files = Files()
            alice = store.scope("alice").with_workspace(files)
            version = alice.connectors.get().version
            draft = alice.connectors.draft()
            if draft is not None and draft.item is not None:
                number = draft.item.name
                again = alice.connectors.save_draft(Connector(name=number), command_id=f"c{number}")
                assert (again.replayed, again.warnings) == (True, ())
                assert json.loads(files.shown())[CONNECTORS] == int(number)
            if (role := alice.roles.draft()) is not None and role.item is not None:
                alice.roles.mirror()
                assert json.loads(files.shown())[ROLES] == int(role.item.id)
            assert alice.connectors.get().version == version
    assert cuts > 50
    assert mirrored > 30


def test_a_mirror_before_its_commit_is_found_out() -> None:
    found = 0
    for cut in testing.power_cuts(hasty, losses=["all"]):
        with testing.open(cut.path) as store:
            found += bool(lost(store, json.loads(cut.marks[-1]) if cut.marks else {}))
    assert found > 0
