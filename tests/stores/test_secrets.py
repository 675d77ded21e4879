"""Secrets: references alone. In clear one is in no block, journal row, receipt, error, repr, traceback or pickle."""

import dataclasses
import logging
import os
import pickle
import sqlite3
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_shapes import AUTH, CLI, HTTP, MCP_URL, ROLE, SHAPES

import treering
from treering import Invalid, InvalidCommand, NotFound, Secret, Unavailable, codec, secrets
from treering.messages import CliConnector, Connector, ConnectorAuth, HttpConnector, McpConnector, Role

PLANTED = "hunter2-in-clear"
NAMES = ["Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "X-Token", "MY_SECRET", "db_PASSWORD",
         "apikey", "X-API-Key", "api.key", "API KEY"]  # fmt: skip
replace: Callable[..., Any] = dataclasses.replace


# What is refused


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (HttpConnector, "default_headers"),
        (CliConnector, "environment"),
        (McpConnector, "environment"),
        (McpConnector, "additional_headers"),
    ],
)
def test_a_value_in_clear_under_a_name_that_tells(cls: Any, field: str, name: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        cls(**{field: {"Accept": "x", name: PLANTED}})
    assert (caught.value.attributes["field"], caught.value.attributes["value"]) == (field, name)
    assert "Secret(" in caught.value.attributes["rule"]
    assert_hidden(caught.value)
    cls(**{field: {name: Secret("env:A")}})
    cls(**{field: {name: " "}})


@pytest.mark.parametrize("name", ["Accept", "passwd", "X-Key", "api-v1-key", "PATH"])
def test_a_name_that_does_not_tell(name: str) -> None:
    assert HttpConnector(default_headers={name: "x"}).default_headers[name] == "x"


@pytest.mark.parametrize(
    "given", [PLANTED, "", "env:", "env:9a", "env:a b", "file:", "file: ", "ENV:A", "vault:x", "\ud800"]
)
def test_no_reference(given: str) -> None:
    for make in (lambda: Secret(given), lambda: ConnectorAuth(client_secret=given)):  # type: ignore[arg-type]
        with pytest.raises(InvalidCommand) as caught:
            make()
        assert caught.value.attributes["value"] == "…"
        assert_hidden(caught.value)
    with pytest.raises(TypeError):
        Secret(7)  # type: ignore[arg-type]


def test_a_reference_in_a_text_is_taken_for_a_secrets_field() -> None:
    assert ConnectorAuth(client_secret="env:A").client_secret == Secret("env:A")  # type: ignore[arg-type]


URLS = [f"https://user:{PLANTED}@a.example/", f"https://a.example/?x=1&access_token={PLANTED}",
        f"https://a.example/#?Api-Key={PLANTED}", f"no-url/user:{PLANTED}@x?token={PLANTED}"]  # fmt: skip
#: Texts where no URL is looked for, and why.
PROSE = {"role.system_prompt": "it may say how a URL with a parameter looks"}


def told(item: Any, path: str, text: str) -> Iterator[tuple[str, Any]]:
    """An item, once for each place in it that holds text, with the text there: whatever fields it has."""
    for field in dataclasses.fields(item):
        place, hint = f"{path}.{field.name}", str(typing.get_type_hints(type(item))[field.name])
        given: list[Any] = []
        if (part := getattr(item, field.name)) is not None and dataclasses.is_dataclass(part):
            given = [] if isinstance(part, Secret) else list(told(part, place, text))
        elif "Mapping" in hint:
            given = [(f"{place}.*", {"X-Team": text})]
            # A name that tells is refused for that, and named.
            given += [] if secrets.is_secret_name(text) else [(f"{place}.name", {text: "x"})]
        elif "tuple" in hint:
            given = [(f"{place}[1]", ("x", text))]
        elif "str" in hint:
            given = [(place, text)]
        else:
            assert hint in ("<class 'bool'>", "<class 'int'>") or "treering.secrets.Secret" in hint, (place, hint)
        for where, value in given:
            yield where, replace(item, **{field.name: value})


#: With each part, so that each field of each is there.
WHOLE = replace(HTTP, cli=CLI.cli, mcp=replace(MCP_URL.mcp, command="npx", environment={}))
#: What is asked of each text: a URL on its own, and what a command line or a path may hold.
SAID = [*URLS, f"curl -s 'https://user:{PLANTED}@a.example/x' -o out", f"/find?q=1&api_key={PLANTED}",
        f"--url=https://a.example/?next=https://user:{PLANTED}@b.example", f"postgres://ann:o'{PLANTED}@db/x",
        f"/find?q=o'x&token={PLANTED}"]  # fmt: skip


def test_each_text_of_an_item_is_there() -> None:
    assert len(list(told(WHOLE, "connector", "x"))) == 34
    assert len(list(told(ROLE, "role", "x"))) == 6


@pytest.mark.parametrize("text", SAID)
def test_a_url_with_a_secret_anywhere(text: str) -> None:
    alice = treering.memory().scope("alice")
    writes: dict[str, list[Callable[[Any], object]]] = {
        "connector": [lambda one: alice.connectors.save([one]), alice.connectors.save_draft],
        "role": [lambda one: alice.roles.save([one]), alice.roles.save_draft],
    }
    for kind, whole in (("connector", WHOLE), ("role", ROLE)):
        for place, item in told(whole, kind, text):
            if place in PROSE:
                continue
            for write in writes[kind]:
                with pytest.raises(InvalidCommand) as caught:
                    write(item)
                # That field of the item, and no other rule that it breaks too.
                field = place.removeprefix(f"{kind}.").removesuffix(".*").removesuffix(".name") or "name"
                assert caught.value.attributes["field"].split(".", 1)[1] == (field if place != "role.name" else "name")
                assert_hidden(caught.value)
    assert alice.connectors.get().version == alice.roles.get().version == 0


def test_what_is_no_url_with_a_secret(store: treering.Store) -> None:
    alice = store.scope("alice")
    arguments = ("--max-tokens=100", "git@host:repo.git", "TOKEN=$TOKEN cmd", "https://a.example/?q=a", "a?b=c")
    part = CliConnector(command="sh -c 'a; token=$(cat x)'", fixed_arguments=arguments, environment={"A": "x=y@z:b"})
    alice.connectors.save([Connector(name="x", type="cli", cli=part)])
    alice.roles.save([Role(id="x", system_prompt="Call https://a.example/?token=TOKEN")])
    (kept,) = alice.connectors.get()
    assert kept.cli == part


class Smuggler(HttpConnector):
    """One that nobody checked when it was made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        pass


def test_the_decider_refuses_what_got_past_the_class(store: treering.Store) -> None:
    alice = store.scope("alice")
    for headers in ({"X-Token": PLANTED}, {"X-Token": Secret.stored(PLANTED)}, {"Accept": Secret.stored(PLANTED)}):
        part = Smuggler(base_url="https://a.example", default_headers=headers)
        connector = Connector(name="x", type="http", http=part)
        for write in (lambda one: alice.connectors.save([one]), alice.connectors.save_draft):
            with pytest.raises(InvalidCommand) as caught:
                write(connector)
            assert caught.value.attributes["field"].endswith("http.default_headers")
            assert_hidden(caught.value)
    assert alice.connectors.get().version == 0


def assert_hidden(error: BaseException) -> None:
    """Neither the error, nor its traceback, nor its pickle, nor what it hangs on says it."""
    attributes = getattr(error, "attributes", {})
    shown = [str(error), repr(error), repr(attributes), *traceback.format_exception(error)]
    shown += [repr(vars(linked)) for linked in (error.__cause__, error.__context__) if linked is not None]
    # Source lines of this file name the constant, never its text.
    assert not [text for text in shown if PLANTED in text]
    assert PLANTED.encode() not in pickle.dumps(error)


def test_errors_of_files_hide_it_too(store: treering.Store, tmp_path: Path) -> None:
    alice, file = store.scope("alice"), tmp_path / "connectors.json"
    http = '[{"name": "x", "type": "http", "http": {"baseUrl": "https://a.example", %s}}]'
    texts = [
        http % f'"defaultHeaders": {{"Authorization": "{PLANTED}"}}',
        http % f'"defaultHeaders": {{"Accept": ["{PLANTED}"]}}',
        http % f'"defaultHeaders": "{PLANTED}"',
        http % f'"defaultHeaders": {{"Accept": {{"secret": "{PLANTED}"}}}}',
        http % f'"defaultHeaders": {{"Accept": {{"value": "{PLANTED}"}}}}',
        http % f'"auth": {{"type": "client_credentials", "clientSecret": "{PLANTED}"}}',
        http % f'"auth": {{"clientSecret": {{"secret": "{PLANTED}"}}}}',
        http % f'"allowedMethods": "{PLANTED}"',
        http % f'"auth": "{PLANTED}"',
        f'[{{"name": "x", "timeoutMs": "{PLANTED}"}}]',
        f'["{PLANTED}"]',
        f'"{PLANTED}"',
        f'[{{"clientSecret": "{PLANTED}"',
        f'{{"a": "{PLANTED}"}} and more',
        f'\ufeff["{PLANTED}"]',
    ]
    for text in texts:
        file.write_text(text)
        with pytest.raises(Invalid) as caught:
            alice.connectors.import_local(file)
        assert_hidden(caught.value)
    file.write_bytes(b'["\xff' + PLANTED.encode() + b'"]')
    with pytest.raises(Invalid) as caught:
        alice.connectors.import_local(file)
    assert_hidden(caught.value)
    assert alice.connectors.get().version == 0


def test_reprs_show_references_and_no_value_under_a_name_that_tells() -> None:
    values = secrets.Values({"Accept": "json", "X-Token": PLANTED, "Cookie": Secret("env:A")})
    assert repr(values) == "{'Accept': 'json', 'Cookie': Secret('env:A'), 'X-Token': …}"
    assert "Secret('env:DESK_SECRET')" in repr(AUTH)


# What is stored


def stored_texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """All bytes of a closed store, as they lie on disk and decoded: files, every column of every row, every block."""
    for file in path.rglob("*"):
        if file.is_file():
            yield f"file {file.name}", file.read_bytes()
    database = sqlite3.connect(f"file:{path / 'store.db'}?mode=ro", uri=True)
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in database.execute(f"SELECT * FROM {table}"):
            for value in row:
                yield f"row of {table}", value if isinstance(value, bytes) else str(value).encode()
    database.close()
    with treering.open(path, read_only=True) as store:
        for info in store.blocks.list():
            data = store.blocks.get(info.cid)
            yield f"block {info.cid}", data
            if info.cid.codec == "dag-cbor":
                yield f"node {info.cid}", repr(codec.decode(data)).encode()


def places(path: Path, text: str) -> set[str]:
    return {place.split()[0] for place, data in stored_texts(path) if text.encode() in data}


@pytest.fixture
def set_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEARCH_TOKEN", "DESK_SECRET", "TICKETS_KEY"):
        monkeypatch.setenv(name, PLANTED)


@pytest.mark.usefixtures("set_secrets")
def test_what_is_resolved_is_in_no_byte_of_the_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, folder = tmp_path / "s", tmp_path / "workspace"
    caplog.set_level(logging.DEBUG)
    with treering.open(path) as store, warnings.catch_warnings(record=True) as warned:
        alice = store.scope("alice").with_workspace(treering.LocalWorkspace(folder))
        for number in range(20):
            alice.connectors.save(list(SHAPES.values()), command_id=f"save {number}")
            alice.connectors.save_draft(HTTP, command_id=f"draft {number}")
            (search, *_) = alice.connectors.get()
            assert search.http is not None
            assert secrets.resolve_all(search.http.default_headers)["Authorization"] == PLANTED
        for refused in ({"Authorization": PLANTED}, {"X-Token": Secret.stored(PLANTED)}):
            part = Smuggler(base_url="https://a.example", default_headers=refused)
            with pytest.raises(InvalidCommand):
                alice.connectors.save([Connector(name="x", type="http", http=part)], command_id="refused")
        with alice.commit("turn") as c:
            c.connectors.save_draft(None)
        # That there is something to find: what may stand there stands in blocks, rows and files.
        alice.memory.add("k", "marker-of-the-scanner", command_id="marker-of-the-scanner")
    assert places(path, "env:SEARCH_TOKEN") == {"file", "row", "block", "node"}
    assert places(path, "marker-of-the-scanner") == {"file", "row", "block", "node"}
    assert places(path, PLANTED) == set()
    assert (caplog.text, [str(one.message) for one in warned]) == ("", [])
    assert PLANTED not in "".join(file.read_text() for file in folder.iterdir())


def test_the_scanner_finds_a_planted_secret(tmp_path: Path) -> None:
    """Under a name that does not tell it is a text like any other: so the scanner must see it, everywhere."""
    path = tmp_path / "s"
    with treering.open(path) as store:
        alice = store.scope("alice")
        part = HttpConnector(base_url="https://a.example", default_headers={"X-Custom": PLANTED})
        alice.connectors.save([Connector(name="x", type="http", http=part)])
        alice.threads.start("w", key=PLANTED, command_id="c")
        store.put(PLANTED.encode() * (300 << 10))
    assert places(path, PLANTED) == {"file", "row", "block", "node"}
    tables = {place for place, data in stored_texts(path) if PLANTED.encode() in data and place.startswith("row")}
    assert {"row of block", "row of journal", "row of ref"} <= tables


# What a reference leads to


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", PLANTED)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text(f"{PLANTED}\n")
    (tmp_path / "y").write_text(f" {PLANTED}\r\n\r\n")
    assert secrets.resolve(Secret("env:A")) == secrets.resolve(Secret(f"file:{tmp_path / 'x'}")) == PLANTED
    assert secrets.resolve(Secret("file:~/y")) == f" {PLANTED}\r\n"
    assert secrets.resolve("a text") == "a text"
    assert secrets.resolve_all({"a": Secret("env:A"), "b": "c"}) == {"a": PLANTED, "b": "c"}


def test_what_does_not_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A", raising=False)
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * ((64 << 10) + 1))
    (tmp_path / "latin").write_bytes(b"\xe9" + PLANTED.encode())
    (tmp_path / "most").write_text("x" * (64 << 10))
    assert len(secrets.resolve(Secret(f"file:{tmp_path / 'most'}"))) == 64 << 10
    for reference, error in [
        ("env:A", NotFound),
        ("env:EMPTY", NotFound),
        (f"file:{tmp_path / 'nothing'}", NotFound),
        (f"file:{tmp_path / 'empty'}", NotFound),
        (f"file:{tmp_path}", Unavailable),
        (f"file:{tmp_path / 'large'}", Unavailable),
        (f"file:{tmp_path / 'latin'}", Unavailable),
    ]:
        with pytest.raises(error) as caught:
            secrets.resolve(Secret(reference))
        assert reference in str(caught.value)
        assert_hidden(caught.value)
    with pytest.raises(InvalidCommand, match="upgrade treering"):
        secrets.resolve(Secret.stored("vault:x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read it")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(PLANTED)
    (tmp_path / "x").chmod(0)
    with pytest.raises(Unavailable, match="Permission denied"):
        secrets.resolve(Secret(f"file:{tmp_path / 'x'}"))


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(Unavailable, match="~nosuchuser"):
        secrets.resolve(Secret("file:~nosuchuser/x"))


@pytest.mark.parametrize("value", [PLANTED.encode(), [PLANTED], 5])
def test_what_is_no_secret_gets_into_no_message(value: object) -> None:
    with pytest.raises(InvalidCommand, match="a Secret is needed") as caught:
        ConnectorAuth(type="client_credentials", client_secret=value)  # type: ignore[arg-type]
    assert_hidden(caught.value)


def test_what_was_not_checked_is_not_shown() -> None:
    assert PLANTED not in repr(Secret.stored(PLANTED))
    assert repr(Secret.stored("vault:x")) == "Secret('vault:x')"
