"""How a user wants their agents to run: `scope.user_config`, and what of it is about language models."""

from __future__ import annotations

from typing import Final

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.messages import LlmPreferences, UserConfig, UserConfigUpdated
from treering.stores._dispatch import READER, ActorStore, ActorView
from treering.stores.receipt import Receipt

_KIND: Final = "user-config"


class UserConfigStore(ActorStore):
    """The configuration of a scope's user. Never written, it has its defaults, and version 0."""

    __slots__ = ()

    _kind = _KIND

    @read
    def get(self) -> UserConfig:
        """Returns the configuration as it is, with its `version`."""
        config: UserConfig = self._core.user_config()
        return config

    @read
    def at(self, version: int) -> UserConfig:
        """Returns the configuration as it was at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        config: UserConfig = self._core.user_config(version)
        return config

    @feed
    def states(self, after: int | None = None) -> Feed[UserConfig]:
        """Returns the configuration as it is, then after each commit that changed it, of any process, in order and
        none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda config: config)

    @verb
    def save(
        self, config: UserConfig, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[UserConfig]]:
        """Returns the receipt; all fields are replaced, normalised: `runtime_mode` is "remote" for that word in any
        case, else "local"; a blank URL is the default, none ends with a slash; a blank route, "auto", "gateway" or one
        that leads to another host is "", and a name becomes the path to it.

        Errors:
            VersionConflict (`version-conflict`): `expected_version` is not the actor's; nothing was written.
            LimitExceeded (`limit-exceeded`): a field is too long.
            CommandMismatch (`command-mismatch`): the command id came before, with something else.
        """
        return (yield from self._send(lambda core: core.user_config_save(config), expected_version, command_id))

    @verb
    def update(
        self,
        *,
        default_model: str | None = None,
        preferred_llm_route: str | None = None,
        runtime_mode: str | None = None,
        local_runtime_base_url: str | None = None,
        remote_runtime_base_url: str | None = None,
        max_tool_rounds: int | None = None,
        github_username: str | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[UserConfig]]:
        """Returns the receipt; the fields that are given are replaced, normalised as by `save`, the others stay. Two
        writers of different fields never lose each other's change.

        Errors:
            As `save`.
        """
        fields = UserConfigUpdated(
            default_model=default_model,
            preferred_llm_route=preferred_llm_route,
            runtime_mode=runtime_mode,
            local_runtime_base_url=local_runtime_base_url,
            remote_runtime_base_url=remote_runtime_base_url,
            max_tool_rounds=max_tool_rounds,
            github_username=github_username,
        )
        return (yield from self._send(lambda core: core.user_config_update(fields), expected_version, command_id))


class LlmPreferencesStore(ActorView):
    """What of a user's configuration is about language models; it is written through `user_config`."""

    __slots__ = ()

    _kind = _KIND

    @read
    def get(self) -> LlmPreferences:
        """Returns the preferences, with the configuration's `version`."""
        preferences: LlmPreferences = self._core.llm_preferences()
        return preferences

    @read
    def at(self, version: int) -> LlmPreferences:
        """Returns the preferences as they were at a version of the configuration.

        Errors:
            As `UserConfigStore.at`.
        """
        preferences: LlmPreferences = self._core.llm_preferences(version)
        return preferences

    @feed
    def states(self, after: int | None = None) -> Feed[LlmPreferences]:
        """Returns the preferences as they are, then after each commit that changed the configuration, of any process,
        as `UserConfigStore.states`.

        Errors:
            As there.
        """
        return READER.states(
            self._scope.resolve(), lambda core: core.llm_preferences_states(after), lambda preferences: preferences
        )


SYNC.UserConfigStore = UserConfigStore
SYNC.LlmPreferencesStore = LlmPreferencesStore
