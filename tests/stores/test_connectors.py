"""`connectors`: each rule of the catalog and of its draft, on the real transitions."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catalog_shapes import AUTH, CLI, HTTP, MCP_URL, SHAPES, connectors, normal_connector
from hypothesis import given
from hypothesis import strategies as st

import treering
from treering import InvalidCommand, LimitExceeded, Scope, Secret, Store, VersionConflict
from treering.messages import (
    CliConnector,
    Connector,
    ConnectorDraft,
    ConnectorDraftDeleted,
    ConnectorDraftSaved,
    ConnectorsSaved,
    HttpConnector,
    McpConnector,
)
from treering.testing import Clock

replace: Callable[..., Any] = dataclasses.replace


def http(**fields: Any) -> Connector:
    return replace(HTTP, http=replace(HTTP.http, **fields))


def cli(**fields: Any) -> Connector:
    return replace(CLI, cli=replace(CLI.cli, **fields))


def mcp(**fields: Any) -> Connector:
    return replace(MCP_URL, mcp=replace(MCP_URL.mcp, **fields))


def saved(alice: Scope, connector: Connector) -> Connector:
    alice.connectors.save([connector])
    (found,) = alice.connectors.get()
    return found


def refused(alice: Scope, *connectors: Connector) -> InvalidCommand:
    """Nothing is written."""
    head = alice.connectors.get().version
    with pytest.raises(InvalidCommand) as caught:
        alice.connectors.save(connectors)
    assert alice.connectors.get().version == head
    return caught.value


# The catalog


def test_never_saved(alice: Scope) -> None:
    catalog = alice.connectors.get()
    assert (list(catalog), catalog.version, catalog.exists, catalog.draft) == ([], 0, False, None)
    assert alice.connectors.draft() is None
    assert list(alice.connectors.history()) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_every_shape_round_trips(alice: Scope, shape: Connector) -> None:
    assert saved(alice, shape) == shape
    assert repr(saved(alice, shape)) == repr(shape)
    (event,) = alice.connectors.history()
    assert event.message == ConnectorsSaved(connectors=(shape,))
    alice.connectors.rebuild()
    assert alice.connectors.at(1) == [shape]


def test_save_replaces_the_whole_list(alice: Scope) -> None:
    alice.connectors.save([HTTP, CLI])
    receipt = alice.connectors.save([MCP_URL, HTTP])
    assert (receipt.version, receipt.changed, receipt.value, receipt.warnings) == (2, True, None, ())
    assert list(alice.connectors.get()) == [MCP_URL, HTTP]
    assert list(alice.connectors.at(1)) == [HTTP, CLI]


def test_the_same_list_is_unchanged(alice: Scope) -> None:
    alice.connectors.save([HTTP, CLI])
    again = alice.connectors.save([replace(HTTP, name=" search "), CLI])
    assert (again.version, again.changed) == (1, False)
    assert alice.connectors.save([CLI, HTTP]).changed, "the order is kept, so it is something"


def test_an_empty_list_is_a_catalog_that_exists(alice: Scope) -> None:
    receipt = alice.connectors.save([])
    assert (receipt.version, receipt.changed) == (1, True)
    assert (len(alice.connectors.get()), alice.connectors.get().exists) == (0, True)
    assert not alice.connectors.save([]).changed
    assert not alice.connectors.at(0).exists


def test_an_empty_list_clears(alice: Scope) -> None:
    alice.connectors.save([HTTP])
    alice.connectors.save([])
    assert (list(alice.connectors.get()), alice.connectors.get().exists) == ([], True)


def test_a_draft_alone_is_no_catalog(alice: Scope) -> None:
    alice.connectors.save_draft(HTTP)
    assert (alice.connectors.get().exists, alice.connectors.get().version) == (False, 1)


# The draft


def test_a_draft_is_set_and_overwritten(alice: Scope, clock: Clock) -> None:
    receipt = alice.connectors.save_draft(HTTP)
    assert receipt.value == ConnectorDraft(item=HTTP, updated_at_ms=clock.now_ms)
    assert receipt.value.version == 1
    clock.advance(5)
    alice.connectors.save_draft(CLI)
    draft = alice.connectors.draft()
    assert draft == ConnectorDraft(item=CLI, updated_at_ms=clock.now_ms)
    assert draft.version == 2
    assert [event.message for event in alice.connectors.history(first=2)] == [ConnectorDraftSaved(draft=draft)]


def test_a_draft_of_nothing_is_kept_with_its_time(alice: Scope, clock: Clock) -> None:
    alice.connectors.save_draft(HTTP)
    clock.advance(5)
    alice.connectors.save_draft(None)
    assert alice.connectors.draft() == ConnectorDraft(item=None, updated_at_ms=clock.now_ms)


def test_the_same_draft_again_is_a_change_of_its_time(alice: Scope, clock: Clock) -> None:
    alice.connectors.save_draft(HTTP)
    clock.advance(5)
    assert alice.connectors.save_draft(HTTP).changed
    assert alice.connectors.get().draft == ConnectorDraft(item=HTTP, updated_at_ms=clock.now_ms)


def test_deleting_the_draft(alice: Scope) -> None:
    assert not alice.connectors.delete_draft().changed
    alice.connectors.save_draft(None)
    receipt = alice.connectors.delete_draft()
    assert (receipt.version, receipt.changed, receipt.value) == (2, True, None)
    assert alice.connectors.draft() is None
    assert [event.message for event in alice.connectors.history(first=2)] == [ConnectorDraftDeleted()]


def test_a_save_leaves_the_draft_and_a_draft_the_catalog(alice: Scope) -> None:
    alice.connectors.save([HTTP])
    alice.connectors.save_draft(CLI)
    alice.connectors.save([MCP_URL])
    catalog = alice.connectors.get()
    assert (list(catalog), catalog.draft.item if catalog.draft else None) == ([MCP_URL], CLI)
    alice.connectors.delete_draft()
    assert list(alice.connectors.get()) == [MCP_URL]


def test_one_version_covers_both(alice: Scope) -> None:
    alice.connectors.save([HTTP])
    assert alice.connectors.save_draft(CLI, expected_version=1).version == 2
    with pytest.raises(VersionConflict):
        alice.connectors.save([], expected_version=1)
    assert alice.connectors.save([], expected_version=2).version == 3
    draft = alice.connectors.draft()
    assert draft is not None
    assert draft.version == alice.connectors.get().version == 3


def test_a_draft_may_be_unfinished_and_is_normalised(alice: Scope) -> None:
    unfinished = Connector(
        name=" x ", type=" FTP", retry=9, http=HttpConnector(base_url=" no url ", allowed_methods=("get",))
    )
    alice.connectors.save_draft(unfinished)
    draft = alice.connectors.draft()
    assert draft is not None
    assert draft.item == Connector(
        name="x",
        type="ftp",
        timeout_ms=30_000,
        retry=5,
        http=HttpConnector(base_url="no url", allowed_methods=("GET",)),
    )
    alice.connectors.save_draft(Connector())


# Validation


def test_a_name_is_needed(alice: Scope) -> None:
    for name in ("", " \t"):
        error = refused(alice, CLI, replace(HTTP, name=name))
        assert (error.attributes["field"], error.attributes["rule"]) == ("connectors[1].name", "it is blank")


@pytest.mark.parametrize("other", ["search", "SEARCH", " Search "])
def test_a_name_is_unique_in_any_case(alice: Scope, other: str) -> None:
    error = refused(alice, HTTP, replace(CLI, name=other))
    assert error.attributes["field"] == "connectors[1].name"
    assert "it comes twice" in str(error)


@pytest.mark.parametrize("type", ["", "ftp", "https"])
def test_a_type_is_one_of_three(alice: Scope, type: str) -> None:
    error = refused(alice, replace(HTTP, type=type))
    assert error.attributes == {"field": "connectors[0].type", "value": type, "rule": "it is one of: http cli mcp"}


NOT_ABSOLUTE = ["", "/v1", "search.example/v1", "//search.example", "https://", "https:///x", "https://:80/", "1x://a",
                "ht tp://a", "https://a b", "https://a\n", "://a", "https:/a", "https://@/", "é://a"]  # fmt: skip


@pytest.mark.parametrize("url", NOT_ABSOLUTE)
def test_http_needs_an_absolute_base_url(alice: Scope, url: str) -> None:
    assert refused(alice, http(base_url=url + "x" if url == "https://a\n" else url)).attributes["field"] == (
        "connectors[0].http.base_url"
    )


@pytest.mark.parametrize("url", ["https://a", "HTTP://A.example:8/x?y=z#w", "http://[::1]:80", "custom+x.1-y://h"])
def test_absolute_urls(alice: Scope, url: str) -> None:
    assert saved(alice, http(base_url=url)) == http(base_url=url)
    assert saved(alice, mcp(url=url)) == mcp(url=url)


def test_http_needs_its_part(alice: Scope) -> None:
    assert (
        refused(alice, Connector(name="x", type="http", cli=CLI.cli)).attributes["field"]
        == "connectors[0].http.base_url"
    )


def test_cli_needs_a_command_that_is_no_url(alice: Scope) -> None:
    for wrong in ("", " ", "https://git.example", "x://"):
        assert refused(alice, cli(command=wrong)).attributes["field"] == "connectors[0].cli.command"
    assert refused(alice, Connector(name="x", type="cli")).attributes["field"] == "connectors[0].cli.command"
    assert saved(alice, cli(command="C:\\git.exe")) == cli(command="C:\\git.exe")


def test_mcp_needs_a_command_or_a_url(alice: Scope) -> None:
    assert "one of them is needed" in str(refused(alice, mcp(url=" ", auth=None)))
    assert "one of them is needed" in str(refused(alice, Connector(name="x", type="mcp")))
    both = mcp(command="npx")
    assert saved(alice, both) == both


@pytest.mark.parametrize("url", NOT_ABSOLUTE[1:])
def test_a_url_of_mcp_is_absolute(alice: Scope, url: str) -> None:
    assert (
        refused(alice, mcp(url=url + "x" if url.endswith("\n") else url)).attributes["field"] == "connectors[0].mcp.url"
    )


def test_auth_of_mcp_needs_a_url(alice: Scope) -> None:
    error = refused(alice, mcp(url="", command="npx"))
    assert (error.attributes["field"], "auth needs it" in str(error)) == ("connectors[0].mcp.url", True)
    none = mcp(url="", command="npx", auth=replace(AUTH, type=""))
    assert saved(alice, none) == none


@pytest.mark.parametrize("make", [http, mcp])
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "basic"}, "type"),
        ({"token_url": ""}, "token_url"),
        ({"token_url": "/token"}, "token_url"),
        ({"client_id": " "}, "client_id"),
        ({"client_secret": None}, "client_secret"),
    ],
)
def test_client_credentials_are_whole(alice: Scope, make: Callable[..., Connector], fields: Any, field: str) -> None:
    error = refused(alice, make(auth=replace(AUTH, **fields)))
    assert error.attributes["field"].endswith(f".auth.{field}")
    # Without a type nothing of it is needed.
    assert saved(alice, make(auth=replace(AUTH, **fields | {"type": ""})))


def test_what_is_not_of_its_type_is_kept_as_it_is_said(alice: Scope) -> None:
    """So that somebody may switch between them; it is normalised, and no rule asks that it be whole."""
    other = replace(CLI, http=HttpConnector(base_url=" nowhere ", allowed_methods=("get",)), mcp=McpConnector())
    assert saved(alice, other) == replace(
        CLI, http=HttpConnector(base_url="nowhere", allowed_methods=("GET",)), mcp=McpConnector()
    )


# Normalisation


def test_the_type_is_lower_cased(alice: Scope) -> None:
    assert saved(alice, replace(HTTP, type=" HtTp ")).type == "http"
    assert saved(alice, http(auth=replace(AUTH, type="Client_Credentials"))) == HTTP


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0, 30_000),
        (-1, 30_000),
        (-(2**63), 30_000),
        (1, 100),
        (99, 100),
        (100, 100),
        (101, 101),
        (300_000, 300_000),
        (300_001, 300_000),
        (2**63 - 1, 300_000),
    ],
)
def test_a_timeout_is_clamped_and_none_is_30_seconds(alice: Scope, given: int, kept: int) -> None:
    assert saved(alice, replace(HTTP, timeout_ms=given)).timeout_ms == kept


@pytest.mark.parametrize(("given", "kept"), [(-1, 0), (0, 0), (5, 5), (6, 5), (2**63 - 1, 5), (-(2**63), 0)])
def test_retries_are_clamped(alice: Scope, given: int, kept: int) -> None:
    assert saved(alice, replace(HTTP, retry=given)).retry == kept


def test_methods_are_upper_cased(alice: Scope) -> None:
    found = saved(alice, http(allowed_methods=("get", " Post ", "GET", "", "x-é")))
    assert found.http is not None
    assert found.http.allowed_methods == ("GET", "POST", "X-É")


NAMES = (" a", "", "B ", "A", "  ", "b", "é", "É", "c d", "a")
KEPT = ("a", "B", "é", "c d")


@pytest.mark.parametrize(
    ("make", "part", "field"),
    [
        (http, "http", "allowed_paths"),
        (http, "http", "allowed_input_keys"),
        (cli, "cli", "allowed_operations"),
        (cli, "cli", "allowed_input_keys"),
        (mcp, "mcp", "allowed_tools"),
        (mcp, "mcp", "allowed_input_keys"),
    ],
)
def test_lists_of_names_are_trimmed_without_blanks_each_once_in_order(
    alice: Scope, make: Callable[..., Connector], part: str, field: str
) -> None:
    assert getattr(getattr(saved(alice, make(**{field: NAMES})), part), field) == KEPT


def test_arguments_stay_as_they_are(alice: Scope) -> None:
    """Their repeats matter, and so do blanks."""
    assert saved(alice, cli(fixed_arguments=NAMES)) == cli(fixed_arguments=NAMES)
    assert saved(alice, mcp(arguments=NAMES)) == mcp(arguments=NAMES)


def test_values_without_a_name_are_dropped(alice: Scope) -> None:
    given = {"": "x", " ": "y", "\t\n": Secret("env:A"), "Accept": ""}
    assert saved(alice, http(default_headers=given)) == http(default_headers={"Accept": ""})
    assert saved(alice, cli(environment=given)) == cli(environment={"Accept": ""})
    assert saved(alice, mcp(environment=given, additional_headers=given)) == mcp(
        environment={"Accept": ""}, additional_headers={"Accept": ""}
    )


@given(one=connectors(st.sampled_from(["a", " B "])))
def test_however_it_is_said_it_is_what_the_rules_make_of_it(one: Connector) -> None:
    with treering.memory() as store:
        alice = store.scope("alice")
        kept = normal_connector(one)
        assert saved(alice, one) == kept
        alice.connectors.save_draft(one)
        draft = alice.connectors.draft()
        assert draft is not None
        assert draft.item == kept
        # What is normal stays as it is.
        assert not alice.connectors.save([kept]).changed


# Limits


def sized(number: int, size: int) -> Connector:
    """One whose message has so many bytes."""
    made = Connector(name=f"{number:06}", type="cli", timeout_ms=100, cli=CliConnector(command="x"))
    _, data, _ = treering._core.encode_message(made)  # type: ignore[attr-defined]
    room = size - len(data)
    for extra in range(room, room - 12, -1):
        grown = replace(made, cli=CliConnector(command="x", working_directory="w" * max(extra, 0)))
        if len(treering._core.encode_message(grown)[1]) == size:  # type: ignore[attr-defined]
            return grown  # type: ignore[no-any-return]
    raise AssertionError(f"no connector has {size} bytes")


def small(number: int) -> Connector:
    return Connector(name=f"{number}", type="cli", cli=CliConnector(command="x"))


def test_a_thousand_connectors_and_no_more(alice: Scope) -> None:
    alice.connectors.save(map(small, range(1000)))
    with pytest.raises(LimitExceeded) as caught:
        alice.connectors.save(map(small, range(1001)))
    assert (caught.value.what, caught.value.limit, caught.value.actual) == ("connectors of a catalog", 1000, 1001)
    assert len(alice.connectors.get()) == 1000


def test_64_kib_of_one_and_no_more(alice: Scope) -> None:
    alice.connectors.save([sized(1, 64 << 10)])
    alice.connectors.save_draft(sized(1, 64 << 10))
    for write in (lambda one: alice.connectors.save([one]), alice.connectors.save_draft):
        with pytest.raises(LimitExceeded) as caught:
            write(sized(1, (64 << 10) + 1))
        assert (caught.value.what, caught.value.limit) == ("bytes of a connector", 64 << 10)
    assert alice.connectors.get().version == 2


def test_512_kib_of_all_and_no_more_with_the_largest_draft(alice: Scope, tmp_path: Path) -> None:
    """What a snapshot holds at most fits into a node."""
    alice.connectors.save_draft(sized(0, 64 << 10))
    full = [sized(number, 64 << 10) for number in range(8)]
    for number in range(20):
        alice.connectors.save(full if number % 2 == 0 else full[:-1])
    alice.connectors.save(full)
    alice.connectors.rebuild()
    assert (list(alice.connectors.get()), alice.connectors.verify()) == (full, 22)
    with pytest.raises(LimitExceeded) as caught:
        alice.connectors.save([*full, small(9)])
    assert (caught.value.what, caught.value.limit) == ("bytes of a catalog of connectors", 512 << 10)
    assert alice.connectors.get().version == 22


def test_a_name_has_at_most_1024_bytes(alice: Scope) -> None:
    alice.connectors.save([replace(HTTP, name="é" * 512)])
    with pytest.raises(LimitExceeded):
        alice.connectors.save([replace(HTTP, name="é" * 512 + "x")])


# As every store


def test_a_snapshot_is_what_the_events_make(store: Store) -> None:
    alice = store.scope("alice")
    for number in range(40):
        alice.connectors.save([replace(CLI, name=f"{number}")])
        alice.connectors.save_draft(replace(HTTP, name=f"{number}") if number % 3 else None)
    assert alice.connectors.verify() == 80
    assert [alice.connectors.at(version)[0].name for version in (1, 31, 33, 79)] == ["0", "15", "16", "39"]
    alice.connectors.trim(keep=3)
    assert (alice.connectors.verify(), alice.connectors.get()[0].name) == (3, "39")
    state = alice.actor("connector-catalog").state()
    assert isinstance(state, treering.Catalog)
    assert (state, state.draft, state.exists) == (alice.connectors.get(), alice.connectors.draft(), True)


def test_in_one_commit_with_others(alice: Scope) -> None:
    with alice.commit(command_id="turn") as c:
        c.connectors.save([HTTP])
        draft = c.connectors.save_draft(CLI, expected_version=1)
        c.roles.save([])
        gone = c.connectors.delete_draft()
        c.memory.add("k", "x")
    assert draft.receipt.version == 2
    assert (gone.receipt.version, alice.connectors.draft()) == (3, None)
    assert alice.roles.get().exists
    with pytest.raises(VersionConflict):
        both(alice, expected_version=1)
    assert (alice.roles.draft(), len(alice.connectors.get())) == (None, 1)


def both(alice: Scope, expected_version: int) -> None:
    with alice.commit() as c:
        c.roles.save_draft(None)
        c.connectors.save([], expected_version=expected_version)


def test_states_give_catalog_and_draft(alice: Scope) -> None:
    states = alice.connectors.states()
    assert not next(states).exists
    alice.connectors.save([HTTP])
    assert list(next(states)) == [HTTP]
    alice.connectors.save_draft(CLI)
    state = next(states)
    assert (list(state), state.draft.item if state.draft else None, state.version) == ([HTTP], CLI, 2)
