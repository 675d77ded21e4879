"""`agents`: which actors of which type, in the order of their coming, and who is allowed what."""

from pathlib import Path

import pytest

import treering
from treering import InvalidCommand, LimitExceeded, Scope, Store
from treering.messages import Admission, AgentAdded, AgentOperation, AgentRemoved

KNOWN = [operation for operation in AgentOperation if operation is not AgentOperation.UNKNOWN]


def groups(scope: Scope) -> list[tuple[str, tuple[str, ...]]]:
    return [(group.agent_type, group.actor_ids) for group in scope.agents.list()]


def test_empty_is_valid(alice: Scope) -> None:
    assert groups(alice) == []
    assert alice.agents.list().version == 0


def test_a_new_group_and_one_more_in_it(alice: Scope) -> None:
    receipt = alice.agents.add("coder", "a")
    assert (receipt.version, receipt.changed, receipt.value, receipt.warnings) == (1, True, None, ())
    alice.agents.add("coder", "b")
    assert groups(alice) == [("coder", ("a", "b"))]
    assert [event.message for event in alice.agents.history()] == [
        AgentAdded(agent_type="coder", actor_id="a"),
        AgentAdded(agent_type="coder", actor_id="b"),
    ]


def test_a_duplicate_is_not_added(alice: Scope) -> None:
    alice.agents.add("coder", "a")
    again = alice.agents.add("coder", "a")
    assert (again.version, again.changed) == (1, False)
    assert groups(alice) == [("coder", ("a",))]


def test_two_types_and_one_id_in_both(alice: Scope) -> None:
    alice.agents.add("coder", "a")
    alice.agents.add("planner", "a")
    alice.agents.add("coder", "b")
    assert groups(alice) == [("coder", ("a", "b")), ("planner", ("a",))]


def test_ids_and_types_are_case_sensitive(alice: Scope) -> None:
    for agent_type, actor_id in (("coder", "a"), ("Coder", "a"), ("coder", "A"), ("coder", "a ")):
        assert alice.agents.add(agent_type, actor_id).changed
    assert groups(alice) == [("coder", ("a", "A", "a ")), ("Coder", ("a",))]


def test_remove_keeps_the_others(alice: Scope) -> None:
    for actor_id in "abc":
        alice.agents.add("coder", actor_id)
    assert alice.agents.remove("coder", "b").changed
    assert groups(alice) == [("coder", ("a", "c"))]
    assert list(alice.agents.history())[-1].message == AgentRemoved(agent_type="coder", actor_id="b")


def test_the_last_id_removes_the_group(alice: Scope) -> None:
    alice.agents.add("coder", "a")
    alice.agents.add("planner", "a")
    alice.agents.remove("coder", "a")
    assert groups(alice) == [("planner", ("a",))]


def test_an_unknown_group_or_id_changes_nothing(alice: Scope) -> None:
    alice.agents.add("coder", "a")
    alice.agents.add("planner", "b")
    for agent_type, actor_id in (("nobody", "a"), ("coder", "b"), ("coder", "nobody")):
        receipt = alice.agents.remove(agent_type, actor_id)
        assert (receipt.version, receipt.changed) == (2, False)
    assert len(list(alice.agents.history())) == 2


@pytest.mark.parametrize("between", [0, 40])
def test_who_comes_again_comes_last(alice: Scope, between: int) -> None:
    """With and without snapshots in between."""

    def others() -> None:
        for number in range(between):
            alice.agents.add("others", str(number))
            alice.agents.remove("others", str(number))

    for agent_type, actor_id in (("one", "a"), ("two", "a"), ("one", "b"), ("two", "b")):
        alice.agents.add(agent_type, actor_id)
        others()
    alice.agents.remove("one", "a")
    others()
    # The group keeps its place while anybody is in it.
    assert groups(alice) == [("one", ("b",)), ("two", ("a", "b"))]
    alice.agents.add("one", "a")
    others()
    assert groups(alice) == [("one", ("b", "a")), ("two", ("a", "b"))]
    for actor_id in "ab":
        alice.agents.remove("one", actor_id)
        others()
    alice.agents.add("one", "a")
    others()
    assert groups(alice) == [("two", ("a", "b")), ("one", ("a",))]
    assert alice.agents.verify() == alice.agents.list().version


@pytest.mark.parametrize("operation", KNOWN)
def test_authorize_a_known_operation(alice: Scope, operation: AgentOperation) -> None:
    assert alice.agents.authorize("coder", "a", operation) is Admission.NOT_FOUND
    alice.agents.add("coder", "a")
    for asked in (operation, str(operation.value)):
        assert alice.agents.authorize("coder", "a", asked) is Admission.ALLOWED
        assert alice.agents.authorize("planner", "a", asked) is Admission.DENIED
        assert alice.agents.authorize("coder", "b", asked) is Admission.NOT_FOUND
    alice.agents.remove("coder", "a")
    assert alice.agents.authorize("coder", "a", operation) is Admission.NOT_FOUND


@pytest.mark.parametrize("operation", ["", "unknown", "USE ", "drop table", AgentOperation.UNKNOWN])
def test_authorize_an_unknown_operation(alice: Scope, operation: str) -> None:
    alice.agents.add("coder", "a")
    assert alice.agents.authorize("coder", "a", operation) is Admission.DENIED
    assert alice.agents.authorize("coder", "nobody", operation) is Admission.NOT_FOUND
    with pytest.raises(TypeError):
        alice.agents.authorize("coder", "a", 3)  # type: ignore[arg-type]


def test_the_operations_are_those_of_the_contract() -> None:
    named = "USE DELETE CHAT STREAM APPROVE JOIN LIST_PARTICIPANTS DRAFT_RUN_REUSE"
    assert {operation.name for operation in KNOWN} == set(named.split())


ADDRESSES = ["bob/chat/c", "bob/user-memory/", "bob/x.mine/1", "bob/files/", "bob/chat-readmodel/c", "%2Fa/chat/c%2Fd"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_in_another_scope_is_a_mismatch_and_that_scope_is_not_read(store: Store, address: str) -> None:
    """Whoever asks is never told ALLOWED for it: so it can't be listed either."""
    alice, bob = store.scope("alice"), store.scope("bob")
    if address.startswith("bob/"):
        bob.agents.add("coder", address)
        assert bob.agents.authorize("coder", address, "use") is Admission.ALLOWED
    for operation in AgentOperation:
        assert alice.agents.authorize("coder", address, operation) is Admission.SCOPE_MISMATCH
    head = store.head()
    with pytest.raises(InvalidCommand, match="address of an actor in another scope") as caught:
        alice.agents.add("coder", address)
    assert caught.value.field == "actor_id"  # type: ignore[attr-defined]
    # There is nothing to remove, and that is no error.
    assert alice.agents.remove("coder", address).changed is False
    assert store.head() == head


def test_what_is_no_address_in_another_scope_is_an_id_like_any_other(alice: Scope) -> None:
    ids = ["alice/chat/c", "openai/gpt", "a/b/c", "org/team/agent", "bob/chat", "bob/thread/x", "bob/Chat/c"]
    for actor_id in ids:
        assert alice.agents.authorize("coder", actor_id, "use") is Admission.NOT_FOUND
        alice.agents.add("coder", actor_id)
        assert alice.agents.authorize("coder", actor_id, "use") is Admission.ALLOWED
    assert alice.agents.list()[0].actor_ids == tuple(ids)


def test_authorize_writes_nothing_and_makes_no_registry(store: Store, alice: Scope) -> None:
    before = store.head()
    assert alice.agents.authorize("coder", "a", "use") is Admission.NOT_FOUND
    assert store.head() == before
    assert [ref.name for ref in store.refs.list()] == []


def test_authorize_asks_what_is_committed(alice: Scope) -> None:
    with alice.commit() as c:
        c.agents.add("coder", "a")
        assert alice.agents.authorize("coder", "a", "use") is Admission.NOT_FOUND
    assert alice.agents.authorize("coder", "a", "use") is Admission.ALLOWED


def test_limits_at_their_edges(alice: Scope) -> None:
    longest = "é" * 256
    assert alice.agents.add(longest, longest).changed
    with alice.commit() as c:
        for number in range(1000):
            c.agents.add(f"type {number}", "a")
    for limit, write in (
        (512, lambda: alice.agents.add(longest + "x", "a")),
        (512, lambda: alice.agents.add("coder", longest + "x")),
        (512, lambda: alice.agents.remove("coder", longest + "x")),
        (1000, lambda: alice.agents.add("one more", "a")),
    ):
        with pytest.raises(LimitExceeded) as caught:
            write()
        assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    assert alice.agents.add("type 5", "a").changed is False
    assert alice.agents.list().version == 1001


def test_an_addition_costs_a_path_and_not_the_registry(alice: Scope, store: Store) -> None:
    """The size of the contract, 100,000, is `test_a_hundred_thousand`'s; here 3,000."""
    for thousand in range(3):
        with alice.commit() as c:
            for number in range(1000):
                c.agents.add(f"type {number % 7}", f"agent-{thousand}-{number:04}")
    before = store.stats()["block_bytes"]
    for number in range(100):
        alice.agents.add("type 0", f"one-more-{number}")
    assert (store.stats()["block_bytes"] - before) / 100 <= 6 * 1024


@pytest.mark.long
def test_a_hundred_thousand(tmp_path: Path) -> None:
    """At the contract's size an addition writes at most 6 KB on average and a few blocks, snapshots included; and who
    opens the registry anew reads at most 20 blocks."""
    path = tmp_path / "s"
    with treering.open(path, durability="relaxed", automatic_gc=False) as store:
        agents = store.scope("alice").agents
        for first in range(0, 100_000, 2000):
            with store.scope("alice").commit() as c:
                for number in range(first, first + 2000):
                    c.agents.add(f"type {number % 7}", f"agent-{number:06}")
        before = store.stats()
        for number in range(1000):
            assert agents.add(f"type {number % 7}", f"one-more-{number}").version == 100_001 + number
        after = store.stats()
        bytes_each = (after["block_bytes"] - before["block_bytes"]) / 1000
        blocks_each = (after["blocks"] - before["blocks"]) / 1000
        print(f"{bytes_each:.0f} bytes, {blocks_each:.2f} blocks for each addition")
        assert bytes_each <= 6 * 1024
        # The event, and every fifteenth time the paths through three trees.
        assert blocks_each <= 8
        assert sum(len(group.actor_ids) for group in agents.list()) == 101_000
        assert agents.remove("type 3", "agent-050004").changed
        assert agents.authorize("type 3", "agent-050004", "use") is Admission.NOT_FOUND
        assert agents.authorize("type 3", "agent-099998", "use") is Admission.ALLOWED
    with treering.open(path) as store:
        read = store.counters()["blocks_read"]
        assert store.scope("alice").agents.authorize("type 0", "agent-000000", "use") is Admission.ALLOWED
        read = store.counters()["blocks_read"] - read
        print(f"{read} blocks to open it and look one up")
        assert read <= 20
