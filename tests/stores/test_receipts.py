"""What a command leaves for the case that it is repeated: small, whatever it brought, and refused whole beyond."""

import pytest
from every_verb import entry, said

from treering import LimitExceeded, Scope, Store
from treering.messages import Conversation

LONG = "x" * 499


def test_long_ids_take_no_room_in_it(store: Store, alice: Scope) -> None:
    """The caller gave them, and gives them again."""

    def write() -> list[object]:
        with alice.commit(command_id="turn") as c:
            drafts = [
                *(c.chats.append(f"{number}{LONG}", said("x")) for number in range(9)),
                *(c.chats.save(f"s{number}{LONG}", Conversation(title="T"), []) for number in range(9)),
                *(c.workflows.upload(f"{number}{LONG}", "n", "y") for number in range(9)),
                *(c.scripts.upload(f"{number}{LONG}", "y") for number in range(9)),
                *(c.participants.add("r", f"{number}{LONG}", "N") for number in range(9)),
            ]
        assert c.receipt.replayed is replayed
        return [draft.receipt.value for draft in drafts]

    replayed = False
    first = write()
    assert None not in first
    replayed, head = True, store.head()
    assert write() == first
    assert store.head() == head
    # One by one, too.
    for number in range(2):
        uploaded = alice.workflows.upload(LONG, "n", f"{number}", command_id=f"w{number}")
        added = alice.participants.add("r", LONG, "N", command_id=f"p{number}")
        alice.workflows.upload(LONG, "n", "later")
        assert alice.workflows.upload(LONG, "n", f"{number}", command_id=f"w{number}").value == uploaded.value
        assert alice.participants.add("r", LONG, "N", command_id=f"p{number}").value == added.value


def test_ids_of_what_was_dropped_are_bounded_for_all_of_a_commit(alice: Scope) -> None:
    def write() -> tuple[list[int], list[int]]:
        with alice.commit(command_id="turn") as c:
            drafts = [c.memory.save([entry(number * 100 + n) for n in range(100)]) for number in range(5)]
        return [draft.receipt.dropped for draft in drafts], [len(draft.receipt.dropped_ids) for draft in drafts]

    assert write() == ([50] * 5, [50] * 5)
    # A repeated one names a hundred, and counts all.
    assert write() == ([50] * 5, [50, 50, 0, 0, 0])


def test_so_many_changes_go_with_one_command_id(store: Store, alice: Scope) -> None:
    def add(count: int, command_id: str | None) -> int:
        with alice.commit(command_id=command_id) as c:
            for number in range(count):
                c.agents.add(f"{command_id}", str(number))
        return alice.agents.list().version

    assert add(300, "few") == 300
    assert add(300, "few") == 300
    head = store.head()
    with pytest.raises(LimitExceeded, match=r"receipt.* exceeds the limit of 4096"):
        add(600, "many")
    assert store.head() == head
    # It is the id that takes the room: without one all go.
    assert add(600, None) == 900
    assert alice.agents.verify() == 900
