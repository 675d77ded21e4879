"""`config.json` → `scope.user_config`: one object, saved in one commit; a field that can't be read has its default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from treering.errors import VersionConflict
from treering.importing.fields import Fields
from treering.importing.report import Notes, Refused, shown
from treering.importing.target import Done, Target, command_id, was_sent
from treering.messages import UserConfig
from treering.stores.receipt import Receipt

_TEXTS: Final = {
    "defaultModel": "default_model",
    "preferredLlmRoute": "preferred_llm_route",
    "runtimeMode": "runtime_mode",
    "localRuntimeBaseUrl": "local_runtime_base_url",
    "remoteRuntimeBaseUrl": "remote_runtime_base_url",
    "githubUsername": "github_username",
}
_ROUNDS: Final = ("maxToolRounds", "max_tool_rounds")
_ROUNDS_MAX: Final = 2**32 - 1


def import_config(target: Target, document: Any, notes: Notes) -> Done:
    """Takes a configuration, if the scope has none."""
    fields = Fields(document, "$", notes)
    given = _given(fields, notes)
    fields.end()
    if not given:
        raise Refused("$", "it has no field of a configuration")
    config, command = UserConfig(**given), command_id("config", given)
    there = target.scope.user_config
    if target.dry_run and (version := there.get().version) > 0:
        if was_sent(
            lambda version: there.save(config, expected_version=version, command_id=command), there.history(), command
        ):
            return Done("there", 0)
        raise _taken(version)
    with target.writable() as scope:
        try:
            receipt = scope.user_config.save(config, expected_version=0, command_id=command)
        except VersionConflict as error:
            raise _taken(error.attributes["actual"]) from None
    if receipt.replayed:
        return Done("there", 0)
    _note_changes(given, receipt, fields, notes)
    return Done("new", len(given))


def _given(fields: Fields, notes: Notes) -> dict[str, Any]:
    """The fields that are there, by their names here."""
    given: dict[str, Any] = {}

    def take(name: str, into: str, read: Callable[[], Any]) -> None:
        if not fields.has(name):
            return
        try:
            if fields.any(name) is not None:
                given[into] = read()
        except Refused as refused:
            notes.take(refused)

    for name, into in _TEXTS.items():
        take(name, into, lambda name=name: fields.text(name))  # type: ignore[misc]
    take(*_ROUNDS, lambda: fields.number(_ROUNDS[0], 0, _ROUNDS_MAX))
    return given


def _note_changes(given: dict[str, Any], receipt: Receipt[UserConfig], fields: Fields, notes: Notes) -> None:
    for name, into in (*_TEXTS.items(), _ROUNDS):
        if into in given and receipt.value is not None:
            now = getattr(receipt.value, into)
            if now != given[into]:
                notes.changed(fields.path(name), f"{shown(given[into])} is kept as {shown(now)}")


def _taken(version: int) -> Refused:
    return Refused(
        "$",
        f"the scope has a configuration already, at version {version}, and nothing is overwritten: import into another "
        "scope, or set its fields there",
    )
