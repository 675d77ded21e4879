"""`treering connectors` and `treering roles`, as a user sees them, and as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import Secret, testing
from treering.messages import CliConnector, Connector, ConnectorAuth, HttpConnector, McpConnector, Role

from .conftest import Cli

CONNECTORS = [
    Connector(
        name="search",
        type="http",
        timeout_ms=5000,
        http=HttpConnector(
            base_url="https://search.example/v1",
            allowed_methods=("GET",),
            default_headers={"Accept": "a\x1b[2J", "Authorization": Secret("env:SEARCH_TOKEN")},
            auth=ConnectorAuth(
                type="client_credentials",
                token_url="https://auth.example/t",
                client_id="me",
                client_secret=Secret("file:/run/s"),
            ),
        ),
    ),
    Connector(name="git", type="cli", enabled=False, cli=CliConnector(command="git", fixed_arguments=("log",))),
    Connector(name="files", type="mcp", mcp=McpConnector(command="npx", arguments=("-y", "server"))),
    Connector(name="tickets", type="mcp", mcp=McpConnector(url="https://tickets.example/mcp")),
]
ROLES = [Role(id="coder", provider="openrouter", model="large", connectors=("git", "search")), Role(id="tester")]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / ".treering"
    with testing.open(path, clock=testing.Clock(1_760_011_200_000)) as opened:
        main = opened.scope("main")
        main.connectors.save(CONNECTORS[:1])
        main.connectors.save(CONNECTORS)
        main.connectors.save_draft(Connector(name="half"))
        main.roles.save(ROLES)
        opened.scope("bare").connectors.save([])
    return path


def said(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return "".join(line.rstrip() + "\n" for line in done.out.splitlines())


def parsed(cli: Cli, *arguments: str) -> Any:
    return json.loads(said(cli, *arguments, "--json"))


def refused(cli: Cli, *arguments: str, code: int = 1) -> str:
    done = cli(*arguments)
    assert (done.code, done.out) == (code, "")
    return done.err


@pytest.mark.usefixtures("store")
class TestReading:
    def test_list(self, cli: Cli) -> None:
        assert said(cli, "connectors", "list") == (
            "NAME     TYPE  ENABLED  CALLS\n"
            "search   http  yes      https://search.example/v1\n"
            "git      cli   no       git log\n"
            "files    mcp   yes      npx -y server\n"
            "tickets  mcp   yes      https://tickets.example/mcp\n"
        )
        assert said(cli, "connectors", "list", "--at", "1").count("\n") == 2
        assert said(cli, "roles", "list") == (
            "ID      NAME    MODEL             CONNECTORS\n"
            "coder   coder   openrouter/large  git, search\n"
            "tester  tester\n"
        )  # fmt: skip

    def test_none(self, cli: Cli) -> None:
        for scope, noun, what in [("bare", "connectors", "no connectors\n"), ("nobody", "roles", "no roles yet\n")]:
            done = cli("--scope", scope, noun, "list")
            assert (done.code, done.out, done.err) == (0, "", what)
            assert parsed(cli, "--scope", scope, noun, "list") == []

    def test_show(self, cli: Cli) -> None:
        assert said(cli, "connectors", "show", "SEARCH") == (
            'name                                search\n'
            'type                                http\n'
            'enabled                             true\n'
            'timeout_ms                          5000\n'
            'retry                               0\n'
            'http.base_url                       https://search.example/v1\n'
            'http.allowed_methods                ["GET"]\n'
            'http.default_headers.Accept         a␛[2J\n'
            'http.default_headers.Authorization  {"secret": "env:SEARCH_TOKEN"}\n'
            'http.auth.type                      client_credentials\n'
            'http.auth.token_url                 https://auth.example/t\n'
            'http.auth.client_id                 me\n'
            'http.auth.client_secret             {"secret": "file:/run/s"}\n'
        )  # fmt: skip
        assert said(cli, "roles", "show", "Tester") == "id    tester\nname  tester\n"
        assert parsed(cli, "roles", "show", "coder") == {
            "id": "coder",
            "name": "coder",
            "system_prompt": "",
            "provider": "openrouter",
            "model": "large",
            "connectors": ["git", "search"],
        }

    def test_json_of_a_connector(self, cli: Cli) -> None:
        shown = parsed(cli, "connectors", "show", "search")
        assert shown["http"]["default_headers"]["Authorization"] == {"secret": "env:SEARCH_TOKEN"}
        assert shown["http"]["auth"]["client_secret"] == {"secret": "file:/run/s"}
        assert (shown["cli"], shown["enabled"]) == (None, True)
        assert [one["name"] for one in parsed(cli, "connectors", "list")] == ["search", "git", "files", "tickets"]

    def test_one_that_is_not_there(self, cli: Cli) -> None:
        assert refused(cli, "connectors", "show", "nothing") == (
            "error: scope main has none of the connectors called nothing\nhint: treering connectors list\n"
        )
        assert "no version 9" in refused(cli, "roles", "list", "--at", "9")

    def test_as_an_actor(self, cli: Cli) -> None:
        shown = said(cli, "actor", "show", "connector-catalog").splitlines()
        assert shown[-5:] == [
            "search  http  yes  https://search.example/v1",
            "git  cli  no  git log",
            "files  mcp  yes  npx -y server",
            "tickets  mcp  yes  https://tickets.example/mcp",
            "draft  2025-10-09 12:00:00  half    yes",
        ]
        state = parsed(cli, "actor", "show", "connector-catalog")["state"]
        assert (len(state["items"]), state["exists"], state["draft"]["item"]["name"]) == (4, True, "half")
        assert "ConnectorDraftSaved" in said(cli, "actor", "events", "connector-catalog")
        assert '"Authorization": {"secret": "env:SEARCH_TOKEN"}' in said(
            cli, "actor", "events", "connector-catalog", "--json"
        )


class TestWriting:
    def test_what_list_prints_can_be_saved(self, cli: Cli, store: Path) -> None:
        Path("c.json").write_text(json.dumps(parsed(cli, "connectors", "list")))
        assert said(cli, "--scope", "new", "connectors", "save", "c.json") == "4 connectors saved, version 1\n"
        assert said(cli, "--scope", "new", "connectors", "save", "c.json") == "4 connectors unchanged, version 1\n"
        with treering.open(store) as opened:
            assert opened.scope("new").connectors.get() == opened.scope("main").connectors.get()

    def test_save_makes_a_store(self, cli: Cli) -> None:
        Path("r.json").write_text('{"coder": {"systemPrompt": "x", "Colour": 1}}')
        done = cli("roles", "save", "r.json", "--json")
        assert json.loads(done.out) == {
            "version": 1,
            "changed": True,
            "count": 1,
            "warnings": ["r.json: left out, since nobody knows them: $.coder.Colour"],
        }
        assert done.err == "warning: r.json: left out, since nobody knows them: $.coder.Colour\n"
        assert said(cli, "roles", "show", "coder") == "id             coder\nname           coder\nsystem_prompt  x\n"

    def test_from_stdin(self, cli: Cli) -> None:
        command = [sys.executable, "-m", "treering", "roles", "save", "-"]
        done = subprocess.run(command, input='[{"id": "a"}]', capture_output=True, text=True, check=True)
        assert done.stdout == "1 roles saved, version 1\n"
        assert refused(cli, "roles", "save", "nothing.json", code=2).startswith("error: ")

    def test_import(self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREERING_HOME", str(tmp_path / "home"))
        assert refused(cli, "roles", "import") == (
            f"error: no roles.json in {tmp_path / 'home'}\nhint: treering roles save FILE takes any other file\n"
        )
        assert not (tmp_path / ".treering").exists()
        for folder, text in (("home", '[{"id": "a"}]'), ("other", "[]")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "roles.json").write_text(text)
        assert said(cli, "roles", "import") == "1 roles saved, version 1\n"
        assert said(cli, "roles", "import", "--workspace", "other") == "0 roles saved, version 2\n"

    def test_a_secret_in_clear_is_refused_and_not_shown(self, cli: Cli) -> None:
        headers = {"Authorization": "Bearer hunter2"}
        http = {"baseUrl": "https://a.example", "defaultHeaders": headers}
        Path("c.json").write_text(json.dumps([{"name": "x", "type": "http", "http": http}]))
        message = refused(cli, "connectors", "save", "c.json")
        assert message.startswith("error: c.json: $[0].http.defaultHeaders.Authorization is not valid: ")
        assert "hunter2" not in message
