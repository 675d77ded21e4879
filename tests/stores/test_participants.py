"""`participants`: who is in which room, in the order of coming."""

import pytest

from treering import LimitExceeded, Scope, Store, testing
from treering.messages import Participant


def names(scope: Scope, room: str) -> list[tuple[str, str]]:
    return [(one.agent_id, one.display_name) for one in scope.participants.list(room)]


def test_an_unknown_room_lists_as_empty(alice: Scope) -> None:
    assert list(alice.participants.list("nowhere")) == []
    assert alice.participants.list("nowhere").version == 0


def test_add_makes_the_room(alice: Scope, clock: testing.Clock) -> None:
    receipt = alice.participants.add("r", "a", "Ann")
    assert receipt.value == Participant(agent_id="a", display_name="Ann", joined_at_ms=clock.now_ms)
    assert (receipt.version, receipt.changed, receipt.warnings) == (1, True, ())
    assert alice.participants.list("r") == [receipt.value]
    assert alice.participants.list("r").version == 1


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_a_blank_name_is_the_id(alice: Scope, blank: str) -> None:
    alice.participants.add("r", "a", blank)
    assert names(alice, "r") == [("a", "a")]


def test_two_agents(alice: Scope) -> None:
    alice.participants.add("r", "a")
    alice.participants.add("r", "b", "Bob")
    assert names(alice, "r") == [("a", "a"), ("b", "Bob")]


@pytest.mark.parametrize("more", [0, 40])
def test_the_same_agent_is_one_entry_with_its_new_name_and_time_at_the_end(
    alice: Scope, clock: testing.Clock, more: int
) -> None:
    for agent in "abc":
        alice.participants.add("r", agent)
    for number in range(more):
        alice.participants.add("elsewhere", str(number))
    clock.advance(60_000)
    receipt = alice.participants.add("r", "a", "Ann")
    assert names(alice, "r") == [("b", "b"), ("c", "c"), ("a", "Ann")]
    assert alice.participants.list("r")[-1].joined_at_ms == clock.now_ms
    # It always writes, even what is so already.
    again = alice.participants.add("r", "a", "Ann")
    assert (again.changed, again.version) == (True, receipt.version + 1)


def test_removing_the_last_participant_removes_the_room(alice: Scope) -> None:
    alice.participants.add("r", "a")
    assert alice.participants.remove("r", "a").changed
    assert names(alice, "r") == []
    gone = alice.participants.remove_room("r")
    assert (gone.changed, gone.version) == (False, 2)


def test_remove_room_drops_all_and_keeps_other_rooms(alice: Scope) -> None:
    for agent in "ab":
        alice.participants.add("r", agent)
        alice.participants.add("other", agent)
    receipt = alice.participants.remove_room("r")
    assert (receipt.changed, receipt.dropped, receipt.version) == (True, 2, 5)
    assert (names(alice, "r"), names(alice, "other")) == ([], [("a", "a"), ("b", "b")])


def test_what_is_absent_changes_nothing(alice: Scope) -> None:
    alice.participants.add("r", "a")
    for receipt in (
        alice.participants.remove("r", "b"),
        alice.participants.remove("nowhere", "a"),
        alice.participants.remove_room("nowhere"),
    ):
        assert (receipt.changed, receipt.version, receipt.dropped) == (False, 1, 0)
    assert len(list(alice.participants.history())) == 1


def test_rooms_are_of_their_scope(store: Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    alice.participants.add("r", "a", "hers")
    bob.participants.add("r", "a", "his")
    bob.participants.remove_room("r")
    assert names(alice, "r") == [("a", "hers")]


def test_a_room_as_it_was(alice: Scope) -> None:
    alice.participants.add("r", "a")
    alice.participants.add("r", "b")
    alice.participants.remove_room("r")
    assert [[one.agent_id for one in alice.participants.at("r", version)] for version in range(4)] == [
        [],
        ["a"],
        ["a", "b"],
        [],
    ]


def test_limits_at_their_edges(alice: Scope) -> None:
    longest = "é" * 256
    alice.participants.add(longest, longest, "é" * 512)
    with alice.commit() as c:
        for number in range(500):
            c.participants.add("full", str(number))
    for limit, write in (
        (512, lambda: alice.participants.add(longest + "x", "a")),
        (512, lambda: alice.participants.add("r", longest + "x")),
        (1024, lambda: alice.participants.add("r", "a", "x" * 1025)),
        (512, lambda: alice.participants.remove(longest + "x", "a")),
        (512, lambda: alice.participants.remove_room(longest + "x")),
        (500, lambda: alice.participants.add("full", "one more")),
    ):
        with pytest.raises(LimitExceeded) as caught:
            write()
        assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    # One who is in a full room may come again.
    assert alice.participants.add("full", "7", "Seven").version == 502
    assert names(alice, "full")[-1] == ("7", "Seven")
