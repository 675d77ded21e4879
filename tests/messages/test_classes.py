"""What users get of a message: a plain value."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from treering import Cid, Secret, messages

sys.path.insert(0, str(Path(__file__).parent))

import descriptors

CLASSES = [getattr(messages, name) for name in descriptors.public_names()]
ENUMS = [enum for file in descriptors.own_files() for enum in file.enum_type]
CID = Cid.of(b"x")


def sample(cls: type) -> Any:
    """Returns an object with a value other than the default in each field."""
    hints = typing.get_type_hints(cls)
    return cls(**{field.name: value_of(hints[field.name]) for field in dataclasses.fields(cls)})


def value_of(hint: Any) -> Any:
    first, *_ = [arg for arg in typing.get_args(hint) if arg is not type(None)] or [hint]
    if typing.get_origin(hint) is tuple:
        return (value_of(first), value_of(first))
    if typing.get_origin(hint) is Mapping:
        return {"Accept": "text", "Cookie": Secret("env:A")}
    if first is Cid:
        return CID
    if first is Secret:
        return Secret("env:A")
    if first is bool:
        return False
    if dataclasses.is_dataclass(first):
        return sample(typing.cast(type, first))
    if issubclass(first, StrEnum):
        return list(first)[-1]
    return {str: "text", int: 1_700_000_000_123}[first]


def test_all_are_there_and_no_others() -> None:
    assert sorted(messages.__all__) == sorted([*descriptors.public_names(), *(enum.name for enum in ENUMS)])
    assert not hasattr(messages, "MemoryState")


@pytest.mark.parametrize("cls", CLASSES)
def test_it_is_a_value(cls: type) -> None:
    one, same = sample(cls), sample(cls)
    assert one == same
    assert hash(one) == hash(same)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    assert not hasattr(one, "__dict__")
    for field in dataclasses.fields(one):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, field.name, None)
        assert field.kw_only


@pytest.mark.parametrize("cls", CLASSES)
def test_fields_are_those_of_the_message_in_its_order(cls: type) -> None:
    names = [field.name for field in dataclasses.fields(cls)]
    proto = [field.name for field in descriptors.described(cls.__name__).fields]
    assert names == proto + (["version"] if descriptors.has_option(cls.__name__, "state") else [])


@pytest.mark.parametrize("cls", CLASSES)
def test_it_says_what_it_is(cls: type) -> None:
    described = next(file for file in descriptors.own_files() if cls.__name__ in {m.name for m in file.message_type})
    at = [m.name for m in described.message_type].index(cls.__name__)
    (comment,) = [p.leading_comments for p in described.source_code_info.location if list(p.path) == [4, at]]
    assert " ".join((inspect.getdoc(cls) or "").split()) == " ".join(comment.split())


@pytest.mark.parametrize("cls", CLASSES)
def test_each_time_has_its_datetime(cls: type) -> None:
    named = {"at_ms": "timestamp"}
    for field in dataclasses.fields(cls):
        if field.name.endswith("at_ms"):
            moment = getattr(sample(cls), named.get(field.name, field.name.removesuffix("_ms")))
            assert moment == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
            assert moment.utcoffset() == timedelta(0)


def test_a_time_beyond_all_datetimes_is_the_last_or_first() -> None:
    assert messages.MemoryEntry(created_at_ms=2**63 - 1).created_at == datetime.max.replace(tzinfo=UTC)
    assert messages.MemoryEntry(created_at_ms=-(2**63)).created_at == datetime.min.replace(tzinfo=UTC)
    assert messages.Message(at_ms=-1).timestamp == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)
    # Before Python 3.12 a frozen class with slots refuses it with the wrong error.
    with pytest.raises((AttributeError, TypeError)):
        messages.Message().timestamp = datetime.now(UTC)  # type: ignore[misc]


def test_a_version_makes_no_two_unequal() -> None:
    assert messages.UserConfig(version=1) == messages.UserConfig(version=2)
    assert hash(messages.UserConfig(version=1)) == hash(messages.UserConfig(version=2))
    assert messages.UserConfig(version=1).version == 1
    assert "version=1" in repr(messages.UserConfig(version=1))


def test_defaults() -> None:
    assert messages.UserConfig().runtime_mode == "local"
    assert messages.UserConfigUpdated().runtime_mode is None
    assert messages.MemoryEntry().source is messages.MemorySource.INFERRED
    assert messages.AgentGroup().actor_ids == ()
    assert messages.Message().attachments == ()
    assert messages.Connector().enabled is True
    assert messages.ConnectorsSaved().connectors == ()
    assert messages.HttpConnector().default_headers == {}
    assert messages.HttpConnector().auth is messages.ConnectorAuth().client_secret is None


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_members_of_an_enum(enum: Any) -> None:
    cls = getattr(messages, enum.name)
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name)[1:] + "_"
    assert {member.name: member.value for member in cls} == {
        value.name.removeprefix(prefix): value.name.removeprefix(prefix).lower() for value in enum.value
    }
    assert issubclass(cls, StrEnum)
    assert inspect.getdoc(cls)


def test_no_protobuf_at_run_time() -> None:
    code = """
import sys, treering.messages as m
from treering import _core
answer = _core.encode_message(m.MemoryEntry(id="x"))
_core.decode_message(answer[0], answer[1])
print([name for name in sys.modules if "google" in name or "protobuf" in name])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_mapping_of_a_message_does_not_change() -> None:
    given = {"b": "2", "a": Secret("env:A")}
    part = messages.HttpConnector(default_headers=given)
    given["c"] = "3"
    assert dict(part.default_headers) == {"a": Secret("env:A"), "b": "2"}
    assert list(part.default_headers) == ["a", "b"]
    with pytest.raises(TypeError):
        part.default_headers["c"] = "3"  # type: ignore[index]
    assert part == messages.HttpConnector(default_headers=dict(part.default_headers))
    assert len({part, messages.HttpConnector(default_headers=part.default_headers)}) == 1
