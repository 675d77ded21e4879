"""`user_config` and `llm_preferences`: all fields or some, normalised; never written means defaults at version 0."""

import dataclasses

import pytest

from treering import LimitExceeded, Scope, Store
from treering.messages import LlmPreferences, UserConfig

LOCAL = "http://127.0.0.1:5080"
DEFAULTS = UserConfig(runtime_mode="local", local_runtime_base_url=LOCAL)
FULL = UserConfig(
    default_model="large",
    preferred_llm_route="/api/v1/proxy/s/fast",
    runtime_mode="remote",
    local_runtime_base_url="http://here:1",
    remote_runtime_base_url="https://there",
    max_tool_rounds=7,
    github_username="octo",
)
FIELDS = [field.name for field in dataclasses.fields(UserConfig) if field.name != "version"]


def fields(config: UserConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in FIELDS}


def test_never_written_means_defaults_at_version_0(alice: Scope) -> None:
    config = alice.user_config.get()
    assert fields(config) == fields(DEFAULTS)
    assert config.version == alice.user_config.at(0).version == 0
    assert list(alice.user_config.history()) == []


def test_save_from_empty_replaces_all_fields(alice: Scope) -> None:
    receipt = alice.user_config.save(FULL)
    assert receipt.value is not None
    assert (receipt.version, receipt.changed, receipt.dropped, receipt.warnings) == (1, True, 0, ())
    assert fields(receipt.value) == fields(alice.user_config.get()) == fields(FULL)
    assert receipt.value.version == alice.user_config.get().version == 1


def test_empty_and_zero_overwrite(alice: Scope) -> None:
    alice.user_config.save(FULL)
    assert alice.user_config.save(UserConfig()).version == 2
    assert fields(alice.user_config.get()) == fields(DEFAULTS)
    alice.user_config.update(default_model="x", max_tool_rounds=3, github_username="y")
    alice.user_config.update(default_model="", max_tool_rounds=0, github_username="")
    assert fields(alice.user_config.get()) == fields(DEFAULTS)


def test_two_scopes_are_isolated(store: Store) -> None:
    store.scope("alice").user_config.save(FULL)
    assert fields(store.scope("bob").user_config.get()) == fields(DEFAULTS)
    assert store.scope("bob").user_config.get().version == 0


@pytest.mark.parametrize("name", FIELDS)
def test_update_changes_one_field_in_one_partial_event(alice: Scope, name: str) -> None:
    alice.user_config.save(dataclasses.replace(FULL, **{name: 1 if name == "max_tool_rounds" else "before"}))
    before = fields(alice.user_config.get())
    receipt = alice.user_config.update(**{name: getattr(FULL, name)})
    assert fields(alice.user_config.get()) == before | {name: getattr(FULL, name)} == fields(FULL)
    event = list(alice.user_config.history())[-1]
    assert (event.type, event.version) == ("treering.v1.UserConfigUpdated", receipt.version)
    given = {field: getattr(event.message, field) for field in FIELDS}
    assert given == dict.fromkeys(FIELDS) | {name: getattr(FULL, name)}


def test_two_writers_of_different_fields_lose_nothing(alice: Scope) -> None:
    one, two = alice.user_config, alice.user_config
    one.get(), two.get()
    one.update(default_model="large")
    two.update(github_username="octo")
    assert (one.get().default_model, one.get().github_username) == ("large", "octo")


def test_what_is_so_already_is_unchanged(alice: Scope) -> None:
    nothing = alice.user_config.save(UserConfig(runtime_mode=" whatever "))
    assert (nothing.version, nothing.changed) == (0, False)
    assert nothing.value == alice.user_config.get()
    alice.user_config.save(FULL)
    for receipt in (alice.user_config.save(FULL), alice.user_config.update(runtime_mode=" REMOTE ")):
        assert (receipt.version, receipt.changed, receipt.value) == (1, False, alice.user_config.get())
    assert alice.user_config.update().changed is False
    assert len(list(alice.user_config.history())) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("remote", "remote"),
        (" ReMoTe\n", "remote"),
        ("REMOTE", "remote"),
        ("", "local"),
        ("Local", "local"),
        ("remotely", "local"),
        ("re mote", "local"),
        ("ремоте", "local"),
    ],
)
def test_mode(alice: Scope, given: str, kept: str) -> None:
    alice.user_config.save(UserConfig(runtime_mode=given, default_model="m"))
    assert alice.user_config.get().runtime_mode == kept


@pytest.mark.parametrize(
    ("given", "local", "remote"),
    [
        ("", LOCAL, ""),
        (" \t", LOCAL, ""),
        (" http://x:1/ ", "http://x:1", "http://x:1"),
        ("http://x/a//", "http://x/a", "http://x/a"),
        ("http://x/a", "http://x/a", "http://x/a"),
    ],
)
def test_urls(alice: Scope, given: str, local: str, remote: str) -> None:
    alice.user_config.save(UserConfig(local_runtime_base_url=given, remote_runtime_base_url=given, default_model="m"))
    config = alice.user_config.get()
    assert (config.local_runtime_base_url, config.remote_runtime_base_url) == (local, remote)
    alice.user_config.save(FULL)
    alice.user_config.update(local_runtime_base_url=given, remote_runtime_base_url=given)
    config = alice.user_config.get()
    assert (config.local_runtime_base_url, config.remote_runtime_base_url) == (local, remote)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *((blank, "") for blank in ("", "  ", "auto", "AUTO", " Auto ", "gateway", "GateWay")),
        *((away, "") for away in ("//evil", "http://evil", "a://b", "/path?to=http://x", " //x ")),
        ("/as/is/", "/as/is/"),
        ("/", "/"),
        ("fast", "/api/v1/proxy/s/fast"),
        (" fast/ ", "/api/v1/proxy/s/fast"),
        ("Fast/Lane//", "/api/v1/proxy/s/Fast/Lane"),
        ("automatic", "/api/v1/proxy/s/automatic"),
    ],
)
def test_route(alice: Scope, given: str, kept: str) -> None:
    alice.user_config.save(UserConfig(preferred_llm_route=given, default_model="m"))
    assert alice.user_config.get().preferred_llm_route == kept
    assert alice.llm_preferences.get().preferred_route == kept


def test_preferences_are_read_from_the_configuration(alice: Scope) -> None:
    assert alice.llm_preferences.get() == LlmPreferences()
    alice.user_config.save(FULL)
    preferences = alice.llm_preferences.get()
    assert (preferences.default_model, preferences.preferred_route) == ("large", "/api/v1/proxy/s/fast")
    assert (preferences.max_tool_rounds, preferences.version) == (7, 1)
    alice.user_config.update(preferred_llm_route="gateway")
    assert alice.llm_preferences.get().preferred_route == ""
    assert alice.llm_preferences.at(1).preferred_route == "/api/v1/proxy/s/fast"
    assert not {"save", "update", "add"} & set(dir(alice.llm_preferences))


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "max_tool_rounds"])
def test_the_longest_field(alice: Scope, name: str) -> None:
    longest = 2048 if name.endswith(("url", "route")) else 1024
    for write in (lambda text: alice.user_config.update(**{name: text}), lambda text: save(alice, name, text)):
        write("/" + "é" * ((longest - 1) // 2))
        write("/" + "x" * (longest - 1))
        version = alice.user_config.get().version
        with pytest.raises(LimitExceeded) as caught:
            write("/" + "é" * (longest // 2))
        assert (caught.value.what, caught.value.limit, caught.value.actual) == (
            f"bytes of {name}",
            longest,
            longest + 1,
        )
        assert alice.user_config.get().version == version


def save(scope: Scope, name: str, text: str) -> object:
    return scope.user_config.save(UserConfig(**{name: text}))  # type: ignore[arg-type]
