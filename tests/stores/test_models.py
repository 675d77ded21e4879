"""Random commands, each store against its model: the same answers, now and at every version, from every beginning.

`check` reads all versions: those before the newest snapshot are replayed from zero, those after it from the snapshot;
`verify` compares the snapshot with a replay from zero; after a reopening nothing is known from before.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import (
    AgentsModel,
    ChatModel,
    ConfigModel,
    ConnectorsModel,
    FilesModel,
    MemoryModel,
    Model,
    RolesModel,
    RoomsModel,
    SourcesModel,
)

import treering
from treering import HistoryTrimmed, testing

MODELS = [ConfigModel, MemoryModel, AgentsModel, RoomsModel, SourcesModel, FilesModel, ChatModel]
MODELS += [ConnectorsModel, RolesModel]
# In CI each run searches the same, so that a longer one there finds something once at most.
EXAMPLES, EXAMPLES_LONG = 12, 40 if "CI" in os.environ else 100


class World:
    """One scope, in memory, or in a directory that may be opened anew at any time."""

    def __init__(self, stack: ExitStack, on_disk: bool) -> None:
        self.clock = testing.Clock()
        self._path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "s" if on_disk else None
        self.store = self._open()
        stack.callback(self.close)

    def close(self) -> None:
        self.store.close()

    def _open(self) -> treering.Store:
        if self._path is None:
            return testing.memory(clock=self.clock)
        return testing.open(self._path, clock=self.clock, durability="relaxed")

    def reopen(self) -> None:
        if self._path is not None:
            self.store.close()
            self.store = self._open()

    @property
    def scope(self) -> treering.Scope:
        return self.store.scope("alice")


def play(model: Model, data: st.DataObject, on_disk: bool) -> None:
    # Sixteen events make a snapshot.
    commands = data.draw(st.lists(model.commands, min_size=20, max_size=70), label="commands")
    reopened = data.draw(st.sets(st.integers(0, len(commands)), max_size=3), label="reopened before")
    with ExitStack() as stack:
        world = World(stack, on_disk)
        for number, command in enumerate(commands):
            if number in reopened:
                world.reopen()
            world.clock.advance(1)
            model.step(world.scope, command, world.clock.now_ms)
        model.check(world.scope)
        world.reopen()
        model.check(world.scope)
        assert world.store.verify().ok


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "directory"])
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_a_store_is_its_model(model: type[Model], on_disk: bool, data: st.DataObject) -> None:
    play(model(), data, on_disk)


@pytest.mark.long
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "directory"])
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=EXAMPLES_LONG)
@given(data=st.data())
def test_a_store_is_its_model_for_long(model: type[Model], on_disk: bool, data: st.DataObject) -> None:
    play(model(), data, on_disk)


def conversations(data: st.DataObject, on_disk: bool) -> None:
    """Several in one scope: the list is what they are, at every version since the last deletion."""
    models = [ChatModel(id) for id in ("a", "b", "ab")]
    commands = data.draw(
        st.lists(st.tuples(st.integers(0, 2), ChatModel.commands), min_size=20, max_size=50), label="commands"
    )
    version, floor, views = 0, 0, {}
    with ExitStack() as stack:
        world = World(stack, on_disk)
        for which, command in commands:
            world.clock.advance(1)
            model = models[which]
            before = model.version
            model.step(world.scope, command, world.clock.now_ms)
            if model.version > before:
                version += 1
                if command == ("delete",):
                    floor, views = version, {}
            rows = sorted(
                (one.row for one in models if one.row is not None), key=lambda row: (-row.updated_at_ms, row.id)
            )
            views[version] = rows
            assert (world.scope.chats.index(), world.scope.chats.index().version) == (rows, version)
        world.reopen()
        for at, rows in views.items():
            assert world.scope.chats.index(at) == rows
        for at in range(floor):
            with pytest.raises(HistoryTrimmed):
                world.scope.chats.index(at)
        for model in models:
            model.check(world.scope)
            for at in range(model.floor):
                with pytest.raises(HistoryTrimmed):
                    world.scope.chats.at(model.id, at)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "directory"])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_the_list_is_what_the_conversations_are(on_disk: bool, data: st.DataObject) -> None:
    conversations(data, on_disk)


@pytest.mark.long
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "directory"])
@settings(max_examples=EXAMPLES_LONG)
@given(data=st.data())
def test_the_list_is_what_the_conversations_are_for_long(on_disk: bool, data: st.DataObject) -> None:
    conversations(data, on_disk)
