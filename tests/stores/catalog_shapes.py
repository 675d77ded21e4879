"""Connectors and roles as tests draw and spell them: every shape, whole and unfinished."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from treering import Secret
from treering.messages import CliConnector, Connector, ConnectorAuth, HttpConnector, McpConnector, Role
from treering.stores.catalog_json import Unknown, rows_of

AUTH = ConnectorAuth(
    type="client_credentials",
    token_url="https://auth.example/token",
    client_id="desk",
    client_secret=Secret("env:DESK_SECRET"),
    scope="read write",
)
HTTP = Connector(
    name="search",
    type="http",
    timeout_ms=5000,
    retry=2,
    http=HttpConnector(
        base_url="https://search.example/v1",
        allowed_methods=("GET", "POST"),
        allowed_paths=("/find", "/count"),
        allowed_input_keys=("q", "page"),
        default_headers={"Accept": "application/json", "Authorization": Secret("env:SEARCH_TOKEN")},
        auth=AUTH,
    ),
)
CLI = Connector(
    name="git",
    type="cli",
    enabled=False,
    timeout_ms=100,
    retry=0,
    cli=CliConnector(
        command="/usr/bin/git",
        fixed_arguments=("-c", "core.pager=", "-c", "core.pager="),
        allowed_operations=("log", "show"),
        allowed_input_keys=("rev",),
        working_directory="/srv/repo",
        environment={"LANG": "C", "GIT_PASSWORD": Secret("file:/run/secrets/git")},
    ),
)
MCP_COMMAND = Connector(
    name="files",
    type="mcp",
    timeout_ms=300_000,
    retry=5,
    mcp=McpConnector(
        server_name="files",
        command="npx",
        arguments=("-y", "server", "-y"),
        environment={"ROOT": "/srv"},
        default_tool="read",
        allowed_tools=("read", "list"),
        allowed_input_keys=("path",),
    ),
)
MCP_URL = Connector(
    name="tickets",
    type="mcp",
    timeout_ms=30_000,
    retry=0,
    mcp=McpConnector(
        server_name="tickets",
        url="https://tickets.example/mcp",
        additional_headers={"X-Api-Key": Secret("env:TICKETS_KEY"), "X-Team": "desk"},
        auth=AUTH,
    ),
)
SHAPES = {"http": HTTP, "cli": CLI, "mcp, a command": MCP_COMMAND, "mcp, a url": MCP_URL}
"""Normalised, each with every field of its shape."""

ROLE = Role(
    id="coder",
    name="Coder",
    system_prompt="You write code.\n\nShort, tested.",
    provider="openrouter",
    model="large",
    connectors=("git", "search"),
)

SAID = [
    *SHAPES.values(),
    Connector(type="CLI ", cli=CliConnector(command=" x ", allowed_operations=("a", "A", ""), environment={" ": "x"})),
    Connector(
        type="http", timeout_ms=-1, retry=9, http=HttpConnector(base_url=" http://a.example ", allowed_methods=("get",))
    ),
    Connector(type="mcp", enabled=False, mcp=McpConnector(command="npx"), cli=CliConnector()),
]
"""Said in some ways; the models give them names."""

_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_NAMES = st.lists(st.sampled_from(["a", "A", " b", "", " ", "C d", "é", "É"]), max_size=5).map(tuple)
_SECRETS = st.sampled_from([Secret("env:A"), Secret("env:b_2"), Secret("file:/run/x"), Secret("file:a b")])
_VALUES = st.dictionaries(
    st.sampled_from(["Accept", "X-Team", "LANG", "é", " "])
    | _WORDS.filter(lambda name: name.isalpha() and len(name) < 4),
    _WORDS | _SECRETS,
    max_size=3,
)
_AUTHS: st.SearchStrategy[ConnectorAuth | None] = st.none() | st.builds(
    ConnectorAuth,
    type=st.sampled_from(["", " Client_Credentials "]),
    token_url=st.sampled_from(["https://a.example/t", " https://a.example/t "]),
    client_id=st.just(" me "),
    client_secret=_SECRETS,
    scope=_WORDS,
)
_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "enabled": st.booleans(),
    "timeout_ms": st.sampled_from([-5, 0, 1, 99, 100, 101, 30_000, 300_000, 300_001, 2**63 - 1, -(2**63)]),
    "retry": st.sampled_from([-1, 0, 1, 5, 6, 2**40]),
}
_HTTPS = st.builds(
    HttpConnector,
    base_url=st.sampled_from(["https://a.example", " http://b.example:8080/x "]),
    allowed_methods=st.lists(st.sampled_from(["get", "GET", " post", ""]), max_size=4).map(tuple),
    allowed_paths=_NAMES,
    allowed_input_keys=_NAMES,
    default_headers=_VALUES,
    auth=_AUTHS,
)
_CLIS = st.builds(
    CliConnector,
    command=st.sampled_from(["git", " /bin/x "]),
    fixed_arguments=_NAMES,
    allowed_operations=_NAMES,
    allowed_input_keys=_NAMES,
    working_directory=_WORDS,
    environment=_VALUES,
)
_MCPS = st.builds(
    McpConnector,
    server_name=_WORDS,
    command=st.sampled_from(["", "npx"]),
    url=st.just(" wss://m.example/s "),
    arguments=_NAMES,
    environment=_VALUES,
    additional_headers=_VALUES,
    auth=_AUTHS,
    default_tool=_WORDS,
    allowed_tools=_NAMES,
    allowed_input_keys=_NAMES,
)


def connectors(names: st.SearchStrategy[str]) -> st.SearchStrategy[Connector]:
    """Whole ones, said in any way that is taken."""
    return st.one_of(
        st.builds(Connector, name=names, type=st.sampled_from(["http", " HTTP "]), http=_HTTPS, **_COMMON),
        st.builds(Connector, name=names, type=st.sampled_from(["cli", "Cli"]), cli=_CLIS, **_COMMON),
        st.builds(Connector, name=names, type=st.just("mcp"), mcp=_MCPS, cli=st.none() | _CLIS, **_COMMON),
    )


def said_connectors(names: st.SearchStrategy[str]) -> st.SearchStrategy[Connector]:
    """Those of `SAID`: little to draw, for long lives."""
    return st.builds(lambda one, name: dataclasses.replace(one, name=name), st.sampled_from(SAID), names)


def roles(ids: st.SearchStrategy[str]) -> st.SearchStrategy[Role]:
    return st.builds(
        Role, id=ids, name=st.sampled_from(["", " ", " N "]), system_prompt=_WORDS, provider=_WORDS, connectors=_NAMES
    )


# The rules once more, in plain Python.

WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""Unicode's white space. `str.strip` takes four control characters for some, too."""


def normal_names(given: tuple[str, ...]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for name in given:
        if name.strip(WHITE):
            kept.setdefault(name.strip(WHITE).lower(), name.strip(WHITE))
    return tuple(kept.values())


def normal_values(given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name.strip(WHITE)}


def normal_auth(auth: ConnectorAuth | None) -> ConnectorAuth | None:
    if auth is None:
        return None
    return ConnectorAuth(
        type=auth.type.strip(WHITE).lower(),
        token_url=auth.token_url.strip(WHITE),
        client_id=auth.client_id.strip(WHITE),
        client_secret=auth.client_secret,
        scope=auth.scope,
    )


def normal_connector(given: Connector) -> Connector:
    http, cli, mcp = given.http, given.cli, given.mcp
    return Connector(
        name=given.name.strip(WHITE),
        type=given.type.strip(WHITE).lower(),
        enabled=given.enabled,
        timeout_ms=30_000 if given.timeout_ms <= 0 else min(max(given.timeout_ms, 100), 300_000),
        retry=min(max(given.retry, 0), 5),
        http=http
        and HttpConnector(
            base_url=http.base_url.strip(WHITE),
            allowed_methods=normal_names(tuple(method.upper() for method in http.allowed_methods)),
            allowed_paths=normal_names(http.allowed_paths),
            allowed_input_keys=normal_names(http.allowed_input_keys),
            default_headers=normal_values(http.default_headers),
            auth=normal_auth(http.auth),
        ),
        cli=cli
        and CliConnector(
            command=cli.command.strip(WHITE),
            fixed_arguments=cli.fixed_arguments,
            allowed_operations=normal_names(cli.allowed_operations),
            allowed_input_keys=normal_names(cli.allowed_input_keys),
            working_directory=cli.working_directory,
            environment=normal_values(cli.environment),
        ),
        mcp=mcp
        and McpConnector(
            server_name=mcp.server_name.strip(WHITE),
            command=mcp.command.strip(WHITE),
            url=mcp.url.strip(WHITE),
            arguments=mcp.arguments,
            environment=normal_values(mcp.environment),
            additional_headers=normal_values(mcp.additional_headers),
            auth=normal_auth(mcp.auth),
            default_tool=mcp.default_tool.strip(WHITE),
            allowed_tools=normal_names(mcp.allowed_tools),
            allowed_input_keys=normal_names(mcp.allowed_input_keys),
        ),
    )


def normal_role(given: Role) -> Role:
    id = given.id.strip(WHITE)
    return Role(
        id=id,
        name=given.name.strip(WHITE) or id,
        system_prompt=given.system_prompt,
        provider=given.provider,
        model=given.model,
        connectors=normal_names(given.connectors),
    )


def items_of(data: bytes, cls: type[Any], *, plural: str, key: str, source: str) -> tuple[list[Any], Unknown]:
    """Returns the items of a catalog's file, and the keys in it that nobody knows."""
    rows, unknown = rows_of(data, cls, plural=plural, key=key, source=source)
    return [row.item for row in rows], unknown
