"""`import_local`: what people keep in `connectors.json` and `roles.json`, in every shape; all of it or nothing."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catalog_shapes import CLI, HTTP, ROLE, SHAPES, connectors, items_of, roles
from hypothesis import given
from hypothesis import strategies as st

import treering
from treering import Invalid, InvalidCommand, LimitExceeded, LocalWorkspace, NotFound, Scope, Secret, Unavailable, aio
from treering.messages import Connector, Role
from treering.stores.catalog_json import FILE_BYTES_MAX, json_of, rows_of

ALL = list(SHAPES.values())
ARRAY = [json_of(connector) for connector in ALL]


def without(key: str, item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != key}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.json"


FORMS: dict[str, Any] = {
    "an array": ARRAY,
    "by name": {item["name"]: without("name", item) for item in ARRAY},
    "by a name of its own": {f"key {place}": item for place, item in enumerate(ARRAY)},
    "under connectors": {"connectors": ARRAY},
    "under CONNECTORS": {"CONNECTORS": ARRAY, "Version": 1},
    "under definitions": {"Definitions": ARRAY},
    "by name under connectors": {"connectors": {item["name"]: without("name", item) for item in ARRAY}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_every_form(alice: Scope, file: Path, form: Any) -> None:
    alice.connectors.save([CLI])
    file.write_text(json.dumps(form))
    receipt = alice.connectors.import_local(file)
    assert (receipt.version, receipt.changed, receipt.value) == (2, True, None)
    assert list(alice.connectors.get()) == ALL
    assert len(receipt.warnings) == ("Version" in form)
    assert not alice.connectors.import_local(file).changed


@pytest.mark.parametrize(
    "form",
    [
        [json_of(ROLE)],
        {"roles": [json_of(ROLE)]},
        {"definitions": [json_of(ROLE)]},
        {"coder": without("id", json_of(ROLE))},
        {"roles": {"coder": json_of(ROLE)}},
    ],
)
def test_every_form_of_roles(alice: Scope, file: Path, form: Any) -> None:
    file.write_text(json.dumps(form))
    alice.roles.import_local(file)
    assert list(alice.roles.get()) == [ROLE]


def test_a_connector_that_is_called_connectors(alice: Scope, file: Path) -> None:
    """An object under that word is a list by name only if all in it are objects; a connector has a type."""
    file.write_text('{"connectors": {"type": "cli", "cli": {"command": "x"}}}')
    alice.connectors.import_local(file)
    assert [one.name for one in alice.connectors.get()] == ["connectors"]


@pytest.mark.parametrize(
    "spell", [str.upper, str.lower, str.title, lambda key: "".join(f"_{c}" if c.isupper() else c for c in key)]
)
def test_keys_in_any_case(alice: Scope, file: Path, spell: Callable[[str], str]) -> None:
    def spelled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        # Names of headers and variables are no keys of ours.
        kept = {"defaultHeaders", "environment", "additionalHeaders"}
        return {spell(key): inner if key in kept else spelled(inner) for key, inner in value.items()}

    file.write_text(json.dumps([spelled(item) for item in ARRAY]))
    assert alice.connectors.import_local(file).warnings == ()
    assert list(alice.connectors.get()) == ALL


def test_what_is_not_said_is_as_in_the_class(alice: Scope, file: Path) -> None:
    file.write_text(
        '[{"name": "x", "type": "CLI", "cli": {"command": "x", "environment": null}, "http": null, "retry": null}]'
    )
    alice.connectors.import_local(file)
    (found,) = alice.connectors.get()
    assert (found.enabled, found.timeout_ms, found.retry, found.http) == (True, 30_000, 0, None)


def test_secrets_in_files(alice: Scope, file: Path) -> None:
    """Under a name that tells a text is a reference; elsewhere it is a text, unless it is marked."""
    headers = {
        "Authorization": "env:A",
        "X-Token": {"secret": "file:/b"},
        "X-Custom": "env:C",
        "X-Marked": {"secret": "env:D"},
    }
    auth = {
        "type": "client_credentials",
        "tokenUrl": "https://a.example",
        "clientId": "me",
        "clientSecret": {"secret": "env:E"},
    }
    http = {"baseUrl": "https://a.example", "defaultHeaders": headers, "auth": auth}
    file.write_text(json.dumps([{"name": "x", "type": "http", "http": http}]))
    alice.connectors.import_local(file)
    found = alice.connectors.get()[0].http
    assert found is not None
    assert dict(found.default_headers) == {
        "Authorization": Secret("env:A"),
        "X-Custom": "env:C",
        "X-Marked": Secret("env:D"),
        "X-Token": Secret("file:/b"),
    }
    assert found.auth is not None
    assert found.auth.client_secret == Secret("env:E")


def test_unknown_keys_are_named(alice: Scope, file: Path) -> None:
    file.write_text(
        json.dumps({"definitions": [{"colour": 1, **ARRAY[1], "cli": {**ARRAY[1]["cli"], "shell": {}}}], "v": 1})
    )
    (warning,) = alice.connectors.import_local(file).warnings
    assert warning.endswith("nobody knows them: $.v, $.definitions[0].colour, $.definitions[0].cli.shell")
    file.write_text(json.dumps([{"id": "x"} | {f"k{n}": n for n in range(30)}]))
    assert alice.roles.import_local(file).warnings[0].endswith("$[0].k9 and 20 more")
    assert list(alice.connectors.get()) == [CLI]


def test_from_the_workspace(alice: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREERING_HOME", str(tmp_path / "home"))
    for store in (alice.connectors, alice.roles):
        with pytest.raises(NotFound, match=r"\.json in <LocalWorkspace .*home>; give the path") as caught:
            store.import_local()
        assert caught.value.kind == "not-found"
    LocalWorkspace().create("connectors.json", json.dumps(ARRAY).encode())
    LocalWorkspace(tmp_path / "other").create("roles.json", json.dumps([json_of(ROLE)]).encode())
    alice.connectors.import_local()
    alice.with_workspace(LocalWorkspace(tmp_path / "other")).roles.import_local()
    assert (list(alice.connectors.get()), list(alice.roles.get())) == (ALL, [ROLE])


def test_a_workspace_that_can_not_be_read(alice: Scope, tmp_path: Path) -> None:
    (tmp_path / "connectors.json").mkdir()
    with pytest.raises(Unavailable, match=r"connectors\.json in <LocalWorkspace .* can't be read: .*no regular file"):
        alice.with_workspace(LocalWorkspace(tmp_path)).connectors.import_local()


def test_a_missing_file(alice: Scope, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no file .*nothing\.json; give the path of a file with connectors"):
        alice.connectors.import_local(tmp_path / "nothing.json")
    with pytest.raises(Unavailable, match="can't be read"):
        alice.connectors.import_local(tmp_path)
    assert alice.connectors.get().version == 0


WRONG: list[tuple[str, type[Invalid], str]] = [
    ("", Invalid, "is no JSON"),
    ("[", Invalid, "is no JSON: Expecting value in line 1, column 2"),
    ("[" * 200_000, Invalid, "is no JSON: it is nested too deep"),
    ("[" + "9" * 5000 + "]", Invalid, "is no JSON"),
    ("7", Invalid, "an array of connectors, or an object with them by name, is needed, not a number"),
    ("null", Invalid, "not null"),
    ('"x"', Invalid, "not a text"),
    ("[1]", InvalidCommand, r"\$\[0\] is not valid: an object is needed, not a number"),
    ('{"a": 1}', InvalidCommand, r"\$\.a is not valid: an object is needed"),
    ('{"connectors": [], "definitions": []}', Invalid, "one list of connectors is needed"),
    ('[{"name": "a", "NAME": "b"}]', InvalidCommand, r"\$\[0\].NAME is not valid: it comes twice"),
    ('[{"name": "a", "name": "b"}]', InvalidCommand, "it comes twice"),
    ('[{"name": 1}]', InvalidCommand, "a text is needed, not a number"),
    ('[{"enabled": 1}]', InvalidCommand, "true or false is needed, not a number"),
    ('[{"enabled": "true"}]', InvalidCommand, "true or false is needed, not a text"),
    ('[{"timeoutMs": true}]', InvalidCommand, "a whole number is needed, not true or false"),
    ('[{"timeoutMs": 1.5}]', InvalidCommand, "a whole number is needed"),
    ('[{"timeoutMs": 1e999}]', InvalidCommand, "a whole number is needed"),
    ('[{"http": []}]', InvalidCommand, r"\$\[0\].http is not valid: an object is needed, not an array"),
    ('[{"http": {"allowedMethods": "GET"}}]', InvalidCommand, "an array of texts is needed"),
    ('[{"http": {"allowedMethods": {"a": 1}}}]', InvalidCommand, "an array of texts is needed, not an object"),
    ('[{"http": {"allowedMethods": ["a", 1]}}]', InvalidCommand, r"http.allowedMethods\[1\] is not valid"),
    ('[{"http": {"defaultHeaders": ["a"]}}]', InvalidCommand, "an object of texts is needed"),
    ('[{"http": {"defaultHeaders": {"a": 1}}}]', InvalidCommand, "defaultHeaders.a is not valid: a text is needed"),
    ('[{"http": {"defaultHeaders": {"a": "1", "a": "2"}}}]', InvalidCommand, "defaultHeaders.a is not valid: it comes"),
    ('[{"name": "a", "type": "cli"}]', InvalidCommand, r"\$\[0\].cli.command"),
    ('[{"name": "a", "type": "cli", "timeoutMs": 99999999999999999999}]', InvalidCommand, "2⁶³"),
    ('[{"name": "\\ud800"}]', InvalidCommand, "lone surrogate"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "error", "message"), WRONG)
def test_a_wrong_file_changes_nothing(alice: Scope, file: Path, text: str, error: type[Invalid], message: str) -> None:
    alice.connectors.save([CLI])
    file.write_text(text)
    with pytest.raises(error, match=message):
        alice.connectors.import_local(file)
    assert (alice.connectors.get().version, list(alice.connectors.get())) == (1, [CLI])


def test_one_wrong_item_takes_none(alice: Scope, file: Path) -> None:
    file.write_text(json.dumps([*ARRAY, {"name": "last", "type": "http"}]))
    with pytest.raises(InvalidCommand) as caught:
        alice.connectors.import_local(file)
    assert caught.value.attributes["field"] == f"$[{len(ARRAY)}].http.baseUrl"
    assert not alice.connectors.get().exists


def test_a_file_has_at_most_4_mib(alice: Scope, file: Path) -> None:
    text = json.dumps(ARRAY)
    file.write_text(text + " " * (FILE_BYTES_MAX - len(text)))
    alice.connectors.import_local(file)
    file.write_text(text + " " * (FILE_BYTES_MAX - len(text) + 1))
    with pytest.raises(LimitExceeded) as caught:
        alice.connectors.import_local(file)
    assert (caught.value.limit, caught.value.actual) == (4 << 20, (4 << 20) + 1)


def test_as_any_command(alice: Scope, file: Path) -> None:
    file.write_text(json.dumps(ARRAY))
    with pytest.raises(treering.VersionConflict):
        alice.connectors.import_local(file, expected_version=1)
    first = alice.connectors.import_local(file, expected_version=0, command_id="import")
    alice.connectors.save([])
    again = alice.connectors.import_local(file, command_id="import")
    assert (first.version, again.version, again.replayed) == (1, 1, True)
    file.write_text("[]")
    with pytest.raises(treering.CommandMismatch):
        alice.connectors.import_local(file, command_id="import")
    assert alice.connectors.get().version == 2


async def test_under_aio(tmp_path: Path, file: Path) -> None:
    file.write_text(json.dumps(ARRAY))  # noqa: ASYNC240 - before anything else runs
    async with aio.open(tmp_path / "s") as store:
        await store.scope("alice").connectors.import_local(file)
        assert list(await store.scope("alice").connectors.get()) == ALL
        with pytest.raises(NotFound):
            await store.scope("alice").connectors.import_local(tmp_path / "nothing")


@given(st.lists(connectors(st.text(st.characters(exclude_categories=["Cs"]))), max_size=3))
def test_json_of_a_connector_is_read_back(items: list[Connector]) -> None:
    data = json.dumps({"connectors": [json_of(item) for item in items]}).encode()
    assert items_of(data, Connector, plural="connectors", key="name", source="x") == (items, [])


@given(st.lists(roles(st.text(st.characters(exclude_categories=["Cs"]))), max_size=3))
def test_json_of_a_role_is_read_back(items: list[Role]) -> None:
    data = json.dumps([json_of(item) for item in items]).encode()
    assert items_of(data, Role, plural="roles", key="id", source="x") == (items, [])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "http", "cli", "auth", "defaultHeaders", "clientSecret", "connectors", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_a_file_holds_it_is_read_or_refused(value: Any) -> None:
    try:
        items, _ = items_of(json.dumps(value).encode(), Connector, plural="connectors", key="name", source="x")
    except Invalid:
        return
    assert all(isinstance(item, Connector) for item in items)


@given(st.binary(max_size=40))
def test_whatever_the_bytes_are(data: bytes) -> None:
    try:
        items_of(data, Connector, plural="connectors", key="name", source="x")
    except Invalid:
        return


def test_one_that_is_off_stays_off() -> None:
    assert json_of(HTTP)["enabled"] is True
    assert json_of(CLI)["enabled"] is False


async def test_a_file_is_read_and_parsed_beside_the_loop(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from treering.stores import catalogs

    threads: list[int] = []

    def noted(*args: Any, **kwargs: Any) -> Any:
        threads.append(threading.get_ident())
        return rows_of(*args, **kwargs)

    monkeypatch.setattr(catalogs, "rows_of", noted)
    file.write_text(json.dumps([json_of(ROLE)]))  # noqa: ASYNC240
    async with aio.open(tmp_path / "state") as store:
        await store.scope("alice").roles.import_local(file)
    assert threads
    assert threading.get_ident() not in threads


def test_more_items_than_a_catalog_has_are_refused_before_one_is_made(
    alice: Scope, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr("treering.stores.catalog_json._of", lambda *args: made.append(args))
    file.write_text("[" + "{}," * 1_000 + "{}]")
    with pytest.raises(LimitExceeded, match="1001 exceeds the limit of 1000") as caught:
        alice.roles.import_local(file)
    assert (caught.value.limit, caught.value.actual, made) == (1_000, 1_001, [])
    monkeypatch.undo()
    file.write_text(json.dumps([{"id": f"r{number}"} for number in range(1_000)]))
    alice.roles.import_local(file)
    assert len(alice.roles.get()) == 1_000


def test_unknown_keys_that_are_not_named_are_counted_alone() -> None:
    data = json.dumps([{"id": "a", **{f"k{number}": 0 for number in range(5_000)}}]).encode()
    _, unknown = items_of(data, Role, plural="roles", key="id", source="x")
    assert (len(unknown), unknown.unnamed) == (10, 4_990)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[{"name": "a\\ud800"}]', "$[0].name"),
        ('[{"name": "a", "type": "cli", "cli": {"command": "x", "fixed_arguments": ["", "\\udc00"]}}]',
         "$[0].cli.fixed_arguments[1]"),
        ('[{"name": "a", "cli": {"environment": {"\\ud800": "x"}}}]', '$[0].cli.environment["\\ud800"]'),
    ],
)  # fmt: skip
def test_half_of_a_surrogate_pair_is_found_in_the_file(alice: Scope, file: Path, text: str, field: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidCommand, match="lone surrogate") as caught:
        alice.connectors.import_local(file)
    assert caught.value.field == field


#: Shapes of a file, and where its one item stands in them.
SHAPES_AND_PLACES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda item: [item], "$[0]"),
    (lambda item: {"connectors": [item]}, "$.connectors[0]"),
    (lambda item: {"Connectors": [item]}, "$.Connectors[0]"),
    (lambda item: {"definitions": [item]}, "$.definitions[0]"),
    (lambda item: {"s": item}, "$.s"),
    (lambda item: {"my search": item}, '$["my search"]'),
    (lambda item: {"k" * 65: item}, f'$["{"k" * 64}\\u2026"]'),
    (lambda item: {"connectors": {"s": item}}, "$.connectors.s"),
    (lambda item: {"DEFINITIONS": {"my search": item}}, '$.DEFINITIONS["my search"]'),
]


@pytest.mark.parametrize(("shaped", "place"), SHAPES_AND_PLACES)
def test_an_error_says_where_in_the_file(alice: Scope, file: Path, shaped: Callable[[Any], Any], place: str) -> None:
    """As it is spelt there: what the file's reader refuses, the class of a part, and the rules of the catalog."""
    cli = {"Command": "x"}
    for wrong, at in [
        ({"Time-Out_MS": "x"}, "Time-Out_MS"),
        ({"http": {"BASE_URL": 1}}, "http.BASE_URL"),
        ({"Http": {"Auth": {"client-secret": "x"}}}, "Http.Auth.client-secret"),
        ({"Type": "ftp"}, "Type"),
        ({"type": "cli", "CLI": {"Command": ""}}, "CLI.Command"),
        ({"type": "cli"}, "cli.command"),
        ({"type": "http", "http": {"BaseUrl": "x"}}, "http.BaseUrl"),
        ({"type": "http", "http": {"allowedPaths": ["", "a", "/x?token=y"]}}, "http.allowedPaths[2]"),
        ({"type": "cli", "cli": {**cli, "environment": {"A": "b://c:d@e"}}}, "cli.environment"),
    ]:
        file.write_text(json.dumps(shaped({"name": "s", **wrong})))
        with pytest.raises(InvalidCommand) as caught:
            alice.connectors.import_local(file)
        assert caught.value.field == f"{place}.{at}"
        assert caught.value.args[0].startswith(f"{file}: {place}.")
    file.write_text(json.dumps(shaped({"name": "s", "type": "cli", "cli": {**cli, "zzz": 1}, "foo bar": 1})))
    (warning,) = alice.connectors.import_local(file).warnings
    assert warning.endswith(f'nobody knows them: {place}.cli.zzz, {place}["foo bar"]')


def test_an_item_that_stands_under_its_name_has_no_other(alice: Scope, file: Path) -> None:
    one = without("name", json_of(CLI))
    file.write_text(json.dumps({"a": one, "A": one}))
    with pytest.raises(InvalidCommand) as caught:
        alice.connectors.import_local(file)
    assert caught.value.field == "$.A"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**40])
def test_a_number_that_is_too_large_is_found_in_the_file(alice: Scope, file: Path, number: int) -> None:
    file.write_text(json.dumps([{**json_of(CLI), "timeoutMs": number}]))
    with pytest.raises(InvalidCommand, match="2⁶³") as caught:
        alice.connectors.import_local(file)
    assert caught.value.field == "$[0].timeoutMs"


def test_a_path_that_can_be_none(alice: Scope) -> None:
    with pytest.raises(Invalid, match="NUL"):
        alice.roles.import_local("a\0b")
