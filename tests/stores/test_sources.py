"""`workflows` and `scripts`: sources by id."""

import pytest

from treering import LimitExceeded, NotFound, Scope, Store, testing
from treering.messages import Script, ScriptUploaded, Workflow, WorkflowUploaded


def test_upload_is_by_id(alice: Scope, clock: testing.Clock) -> None:
    one = alice.workflows.upload("w", "First", "steps: []")
    assert one.value == Workflow(id="w", name="First", yaml="steps: []", uploaded_at_ms=clock.now_ms)
    assert (one.version, one.changed, one.warnings) == (1, True, ())
    clock.advance(5)
    two = alice.workflows.upload("w", "Second", "steps: [a]")
    assert alice.workflows.get("w") == two.value
    assert two.value is not None
    assert two.value.uploaded_at_ms == clock.now_ms
    assert (alice.workflows.list(), alice.workflows.list().version) == ([two.value], 2)

    script = alice.scripts.upload("s", "print(1)")
    assert script.value == Script(id="s", source="print(1)", uploaded_at_ms=clock.now_ms)
    assert (alice.scripts.get("s"), alice.scripts.list()) == (script.value, [script.value])
    assert alice.scripts.upload("s", "print(2)").version == 2
    assert alice.scripts.get("s").source == "print(2)"  # type: ignore[union-attr]


def test_the_same_again_is_unchanged(alice: Scope, clock: testing.Clock) -> None:
    workflow, script = alice.workflows.upload("w", "n", "y"), alice.scripts.upload("s", "x")
    clock.advance(5)
    again, script_again = alice.workflows.upload("w", "n", "y"), alice.scripts.upload("s", "x")
    assert (again.changed, again.version, again.value) == (False, 1, workflow.value)
    assert (script_again.changed, script_again.version, script_again.value) == (False, 1, script.value)
    assert alice.workflows.upload("w", "other name", "y").changed


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_name_is_the_id(alice: Scope, blank: str) -> None:
    assert alice.workflows.upload("w", blank, "y").value.name == "w"  # type: ignore[union-attr]


def test_what_was_never_uploaded(alice: Scope) -> None:
    assert (alice.workflows.get("w"), alice.scripts.get("s"), alice.workflows.get("")) == (None, None, None)
    assert (list(alice.workflows.list()), alice.scripts.list().version) == ([], 0)


def test_list_is_by_id(alice: Scope) -> None:
    for id in ("b", "B", "é", "a", "\U0001f600", "\uffff"):
        alice.workflows.upload(id, "", id)
        alice.scripts.upload(id, id)
    ids = ["B", "a", "b", "é", "\uffff", "\U0001f600"]
    assert [one.id for one in alice.workflows.list()] == ids
    assert [one.id for one in alice.scripts.list()] == ids


def test_they_are_kept_as_they_are_given(alice: Scope) -> None:
    odd = " \ttext\r\n\0 \U0001f600 é "
    alice.scripts.upload("s", odd)
    alice.workflows.upload("w", odd, odd)
    assert alice.scripts.get("s").source == odd  # type: ignore[union-attr]
    assert alice.workflows.get("w").yaml == odd  # type: ignore[union-attr]
    assert alice.workflows.get("w").name == odd  # type: ignore[union-attr]


def test_history_of_one_and_of_all(alice: Scope) -> None:
    for number in range(20):
        alice.workflows.upload(f"w{number % 3}", "", f"v{number}")
        alice.scripts.upload(f"s{number % 3}", f"v{number}")
    assert [event.version for event in alice.workflows.history("w1")] == list(range(2, 21, 3))
    assert [event.version for event in alice.scripts.history("s1", first=5, last=14)] == [5, 8, 11, 14]
    assert [event.version for event in alice.workflows.history()] == list(range(1, 21))
    assert list(alice.workflows.history("nothing")) == []
    (event, *_) = alice.workflows.history("w1")
    assert isinstance(event.message, WorkflowUploaded)
    assert isinstance(next(iter(alice.scripts.history())).message, ScriptUploaded)
    # What a version of the history brought is there to be read.
    for event in alice.workflows.history("w1"):
        assert alice.workflows.get("w1", event.version).yaml == f"v{event.version - 1}"  # type: ignore[union-attr]
    assert alice.workflows.get("w1", 1) is None
    assert len(alice.scripts.list(2)) == 2
    with pytest.raises(NotFound):
        alice.workflows.get("w1", 21)


def test_workflows_and_scripts_are_apart(alice: Scope, store: Store) -> None:
    alice.workflows.upload("x", "", "a workflow")
    alice.scripts.upload("x", "a script")
    assert (alice.workflows.get("x").yaml, alice.scripts.get("x").source) == ("a workflow", "a script")  # type: ignore[union-attr]
    assert store.scope("bob").workflows.get("x") is None


def test_limits_at_their_edges(alice: Scope) -> None:
    longest, most = "é" * 256, "é" * (256 << 10)
    assert alice.workflows.upload(longest, "é" * 512, most).changed
    assert alice.scripts.upload(longest, most).value.source == most  # type: ignore[union-attr]
    for limit, write in (
        (512, lambda: alice.workflows.upload(longest + "x", "", "y")),
        (1024, lambda: alice.workflows.upload("w", "é" * 512 + "x", "y")),
        (512 << 10, lambda: alice.workflows.upload("w", "", most + "x")),
        (512, lambda: alice.scripts.upload(longest + "x", "y")),
        (512 << 10, lambda: alice.scripts.upload("s", most + "x")),
    ):
        with pytest.raises(LimitExceeded) as caught:
            write()
        assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    assert (alice.workflows.list().version, alice.scripts.list().version) == (1, 1)
