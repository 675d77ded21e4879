"""The reference page names every public name, and every member of the classes that it describes."""

import inspect
import re
from pathlib import Path

import pytest

import treering
import treering.chat
import treering.importing
from treering.stores import protocols

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"\w+", PAGE))
DESCRIBED = ["Store", "Scope", "Threads", "Thread", "Step", "Commit", "ThreadDraft", "Blocks", "Pins", "Cid", "Diff"]
DESCRIBED += ["Hold", "GcReport", "Vector", "Map"]
DESCRIBED += ["Scoped", "UserConfigStore", "LlmPreferencesStore", "MemoryStore", "AgentsStore", "ParticipantsStore"]
DESCRIBED += [
    "ChatsStore",
    "WorkflowsStore",
    "ScriptsStore",
    "ActorHandle",
    "ActorInfo",
    "ScopeEvent",
    "ActorEvent",
    "Receipt",
]
DESCRIBED += ["Projection", "ProjectionView", "ProjectionReport", "ProjectionInfo", "SourceEvent", "Source", "Gap"]
DESCRIBED += ["Receipt", "Refs", "RefState", "Quarantined", "QuarantinedRef", "Repair", "Finding"]


@pytest.mark.parametrize("name", treering.__all__)
def test_names(name: str) -> None:
    assert name == "__version__" or name in WORDS


@pytest.mark.parametrize("name", treering.chat.__all__)
def test_chat_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", treering.importing.__all__)
def test_importing_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", protocols.__all__)
def test_protocol_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", DESCRIBED)
def test_members(name: str) -> None:
    members = {member for member, _ in inspect.getmembers(getattr(treering, name)) if not member.startswith("_")}
    assert members - WORDS == set()
