"""What we write the `protobuf` package reads, what it writes we read, and both write the same bytes."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from treering import Cid, Secret, _core, messages
from treering.secrets import is_secret_name

sys.path.insert(0, str(Path(__file__).parent))

import descriptors

NAMES = descriptors.public_names()
CIDS = [Cid.of(bytes([n])) for n in range(8)]
SECRETS = st.builds(
    Secret, st.from_regex(r"env:[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True) | st.sampled_from(["file:/a b", "file:é"])
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SOME_TEXT = TEXTS.filter(bool)
VALUES = st.dictionaries(
    SOME_TEXT.filter(lambda name: not is_secret_name(name)), SOME_TEXT | SECRETS, max_size=3
).filter(lambda values: not any(one != other and one.startswith(other) for one in values for other in values))
"""Without the empty text: see below."""
NUMBERS = {
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
}


def one_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        name = field.message_type.name
        if field.message_type.GetOptions().map_entry:
            return VALUES
        if name == "Secret":
            return SECRETS
        return st.sampled_from(CIDS) if name == "Link" else objects(name)
    if field.enum_type is not None:
        return st.sampled_from(list(getattr(messages, field.enum_type.name)))
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXTS
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    return NUMBERS[field.type]


def objects(name: str) -> st.SearchStrategy[Any]:
    """Returns the objects that `treering.messages` can make of a message."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in descriptors.described(name).fields:
        one = one_value(field)
        if field.is_repeated and not is_map(field):
            one = st.lists(one, max_size=4).map(tuple)
        elif field.containing_oneof is not None:
            one = st.none() | one
        values[field.name] = one
    return st.builds(getattr(messages, name), **values)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def by_protobuf(message: Any, links: list[Cid]) -> Any:
    """Returns the same message of the `protobuf` package's class; each CID goes behind `links`, as it comes."""
    name = type(message).__name__
    made = descriptors.message_class(name)()
    for field in descriptors.described(name).fields:
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.message_type is None:
            if field.enum_type is not None:
                value = numbers(field)[value]
            if field.is_repeated:
                getattr(made, field.name).extend(value)
            else:
                setattr(made, field.name, value)
            continue
        if is_map(field):
            for key, text in value.items():
                target = getattr(made, field.name)[key]
                if isinstance(text, Secret):
                    target.secret.reference = text.reference
                else:
                    target.text = text
            continue
        for part in value if field.is_repeated else [value]:
            target = getattr(made, field.name).add() if field.is_repeated else getattr(made, field.name)
            if isinstance(part, Cid):
                target.index = len(links)
                target.SetInParent()
                links.append(part)
            elif isinstance(part, Secret):
                target.reference = part.reference
            else:
                target.CopyFrom(by_protobuf(part, links))
    return made


def numbers(field: FieldDescriptor) -> dict[str, int]:
    """Returns the numbers of an enum's values by what they are in Python."""
    members = getattr(messages, field.enum_type.name)
    return {member: field.enum_type.values_by_name[in_proto(members, member)].number for member in members}


def in_proto(enum: type, member: Any) -> str:
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.__name__)[1:]
    return f"{prefix}_{member.name}"


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_both_write_the_same_bytes(name: str, data: st.DataObject) -> None:
    message = data.draw(objects(name))
    links: list[Cid] = []
    theirs = by_protobuf(message, links).SerializeToString(deterministic=True)
    ours = _core.encode_message(message)
    assert ours == (f"treering.v1.{name}", theirs, links)
    assert _core.decode_message(f"treering.v1.{name}", theirs, links) == (message, True)


def test_of_two_keys_of_which_one_begins_the_other_the_shorter_comes_first() -> None:
    """As bytes are compared; the `protobuf` package writes the longer one first. Each reads what the other wrote."""
    message = messages.CliConnector(environment={"ab": "y", "a": "x", "abc": "z"})
    theirs = by_protobuf(message, []).SerializeToString(deterministic=True)
    answer = _core.encode_message(message)
    assert answer is not None
    ours = answer[1]
    places = [ours.index(key) for key in (b"\x01a", b"\x02ab", b"\x03abc")]
    assert places == sorted(places)
    assert sorted(theirs) == sorted(ours)
    assert _core.decode_message("treering.v1.CliConnector", theirs)[0] == message
    assert _core.decode_message("treering.v1.CliConnector", ours) == (message, True)
    assert descriptors.message_class("CliConnector").FromString(ours) == by_protobuf(message, [])


def test_an_empty_key_or_value_of_a_map_is_left_out_as_any_default() -> None:
    """The `protobuf` package writes them; each reads what the other wrote."""
    message = messages.CliConnector(environment={"": "x", "a": "", "b": "y"})
    theirs = by_protobuf(message, []).SerializeToString(deterministic=True)
    answer = _core.encode_message(message)
    assert answer is not None
    ours = answer[1]
    assert ours == b"\x32\x05\x12\x03\x0a\x01x" + b"\x32\x03\x0a\x01a" + b"\x32\x08\x0a\x01b\x12\x03\x0a\x01y"
    assert theirs != ours
    assert _core.decode_message("treering.v1.CliConnector", theirs) == (message, False), "it is not our form"
    assert _core.decode_message("treering.v1.CliConnector", ours) == (message, True)
    read = descriptors.message_class("CliConnector").FromString(ours)
    assert {name: value.text for name, value in read.environment.items()} == {"": "x", "a": "", "b": "y"}


def test_an_object_is_as_if_its_class_had_made_it() -> None:
    """Its slots are set from the core: each must be, and hold what `__init__` would put there."""
    made = messages.MemoryEntry(id="0123456789ab", content="x", source=messages.MemorySource.EXPLICIT, created_at_ms=7)
    answer = _core.encode_message(made)
    assert answer is not None
    read = _core.decode_message(answer[0], answer[1])
    assert read is not None
    assert type(read[0]) is messages.MemoryEntry
    assert repr(read[0]) == repr(made)
    assert hash(read[0]) == hash(made)
    assert type(read[0].source) is messages.MemorySource
    assert dataclasses.replace(read[0], id="other").id == "other"


def test_a_value_stands_for_its_member() -> None:
    plain = messages.MemoryEntry(source="explicit")  # type: ignore[arg-type]
    member = messages.MemoryEntry(source=messages.MemorySource.EXPLICIT)
    assert _core.encode_message(plain) == _core.encode_message(member)
    assert plain == member


def test_a_state_has_the_version_that_it_was_read_at() -> None:
    answer = _core.encode_message(messages.UserConfig(default_model="large", version=3))
    assert answer is not None
    assert answer[1] == b"\x0a\x05large\x1a\x05local", "the version stands in no field"
    for version in (0, 2**64 - 1):
        read = _core.decode_message(answer[0], answer[1], version=version)
        assert read is not None
        assert read[0].version == version


def test_defaults_are_of_the_class_and_not_of_the_bytes() -> None:
    assert messages.UserConfig().runtime_mode == "local"
    read = _core.decode_message("treering.v1.UserConfig", b"")
    assert read is not None
    assert read[0].runtime_mode == "", "bytes say what was written"
