"""`roles`: each rule of the catalog and of its draft, on the real transitions."""

import dataclasses

import pytest
from catalog_shapes import ROLE

from treering import InvalidCommand, LimitExceeded, Scope, Store, VersionConflict
from treering.messages import Role, RoleDraft, RoleDraftDeleted, RoleDraftSaved, RolesSaved
from treering.testing import Clock

replace = dataclasses.replace


def saved(alice: Scope, role: Role) -> Role:
    alice.roles.save([role])
    (found,) = alice.roles.get()
    return found


def test_never_saved(alice: Scope) -> None:
    catalog = alice.roles.get()
    assert (list(catalog), catalog.version, catalog.exists, catalog.draft) == ([], 0, False, None)
    assert alice.roles.draft() is None


def test_a_role_round_trips(alice: Scope) -> None:
    assert saved(alice, ROLE) == ROLE
    (event,) = alice.roles.history()
    assert event.message == RolesSaved(roles=(ROLE,))
    assert event.type == "treering.v1.RolesSaved"


def test_save_replaces_the_whole_list_and_an_empty_one_exists(alice: Scope) -> None:
    other = replace(ROLE, id="planner")
    alice.roles.save([ROLE, other])
    alice.roles.save([other])
    assert list(alice.roles.get()) == [other]
    assert not alice.roles.save([other]).changed
    assert alice.roles.save([]).changed
    assert (list(alice.roles.get()), alice.roles.get().exists, alice.roles.get().version) == ([], True, 3)


def test_an_id_is_needed_and_unique_in_any_case(alice: Scope) -> None:
    for given, field in [
        ([Role(id=" ")], "roles[0].id"),
        ([ROLE, Role()], "roles[1].id"),
        ([ROLE, replace(ROLE, id=" CODER ")], "roles[1].id"),
    ]:
        with pytest.raises(InvalidCommand) as caught:
            alice.roles.save(given)
        assert caught.value.attributes["field"] == field
    assert alice.roles.get().version == 0


def test_case_is_that_of_letters(alice: Scope) -> None:
    """Lower-cased, not folded: what two languages write in two ways stays two."""
    alice.roles.save([Role(id="straße"), Role(id="STRASSE"), Role(id="ı"), Role(id="i")])
    for same in (("É", "é"), ("ΑΒ", "αβ"), ("straße", "STRAẞE")):
        with pytest.raises(InvalidCommand, match="twice"):
            alice.roles.save([Role(id=id) for id in same])


def test_a_blank_name_is_the_id(alice: Scope) -> None:
    for name in ("", " \t"):
        assert saved(alice, Role(id=" coder ", name=name)) == Role(id="coder", name="coder")
    assert saved(alice, Role(id="coder", name=" The Coder ")).name == "The Coder"


def test_connectors_are_named_once_in_any_case(alice: Scope) -> None:
    given = replace(ROLE, connectors=(" git", "", "Search", "GIT", "search", " "))
    assert saved(alice, given).connectors == ("git", "Search")


def test_what_it_is_told_stays_as_it_is(alice: Scope) -> None:
    given = replace(ROLE, system_prompt="  \n x ", provider=" p ", model=" m ")
    assert saved(alice, given) == given


def test_a_draft_is_set_overwritten_and_deleted(alice: Scope, clock: Clock) -> None:
    alice.roles.save([ROLE])
    alice.roles.save_draft(Role(name=" Unfinished "))
    assert alice.roles.draft() == RoleDraft(item=Role(name="Unfinished"), updated_at_ms=clock.now_ms)
    clock.advance(7)
    receipt = alice.roles.save_draft(None)
    assert receipt.value == RoleDraft(item=None, updated_at_ms=clock.now_ms) == alice.roles.draft()
    assert alice.roles.delete_draft(expected_version=3).version == 4
    assert (alice.roles.draft(), list(alice.roles.get())) == (None, [ROLE])
    kinds = [RolesSaved, RoleDraftSaved, RoleDraftSaved, RoleDraftDeleted]
    assert [type(event.message) for event in alice.roles.history()] == kinds


def test_one_version_covers_both(alice: Scope) -> None:
    alice.roles.save_draft(ROLE)
    with pytest.raises(VersionConflict):
        alice.roles.save([ROLE], expected_version=0)
    assert alice.roles.save([ROLE], expected_version=1).version == 2


def test_limits(alice: Scope) -> None:
    most = [Role(id=f"{number}") for number in range(1000)]
    alice.roles.save(most)
    # Id and name, each with its tag and length; a tag and three bytes of length for the prompt.
    room = (64 << 10) - 2 * 3 - 4
    largest = [Role(id="x", system_prompt="p" * room)]
    alice.roles.save(largest)
    alice.roles.save_draft(largest[0])
    alice.roles.save([replace(largest[0], id=f"{number}") for number in range(8)])
    for wrong, what in [
        ([*most, Role(id="x")], "roles of a catalog"),
        ([replace(largest[0], model="m")], "bytes of a role"),
        ([*(replace(largest[0], id=f"{number}") for number in range(8)), Role(id="x")], "bytes of a catalog of roles"),
        ([Role(id="x" * 513)], "id"),
    ]:
        with pytest.raises(LimitExceeded) as caught:
            alice.roles.save(wrong)
        assert caught.value.what == what
    with pytest.raises(LimitExceeded):
        alice.roles.save_draft(replace(largest[0], model="m"))
    alice.roles.save([Role(id="x" * 512)])


def test_roles_and_connectors_are_apart(store: Store) -> None:
    alice = store.scope("alice")
    alice.roles.save([ROLE])
    alice.roles.save_draft(ROLE)
    assert (alice.connectors.get().version, alice.connectors.get().exists) == (0, False)
    assert [info.kind for info in alice.actors()] == ["role-catalog"]
