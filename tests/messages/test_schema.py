"""The .proto set keeps what formats must keep, and the committed sources are what it makes."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

sys.path.insert(0, str(Path(__file__).parent))

import descriptors

FIELDS = list(descriptors.fields())
FieldProto = descriptor_pb2.FieldDescriptorProto


def test_the_sources_are_generated() -> None:
    tool = descriptors.ROOT / "tools" / "gen_messages.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_something_to_look_at() -> None:
    assert len(FIELDS) > 80
    assert len(descriptors.public_names()) > 20
    assert descriptors.has_option("MemoryState", "internal")
    assert not descriptors.has_option("MemoryEntry", "internal")


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.full_name)
def test_structure_is_typed(field: FieldDescriptor) -> None:
    """No opaque bytes, no dynamic value, no text that is a document, no group."""
    assert field.type not in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_GROUP)
    part = field.message_type
    if part is not None:
        assert part.full_name.startswith(f"{descriptors.PACKAGE}."), "google.protobuf.Any, Struct and the like"
    assert not any(word in field.name.split("_") for word in ("json", "payload", "blob", "raw"))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.full_name)
def test_a_field_has_one_form_in_bytes(field: FieldDescriptor) -> None:
    """A floating-point number has several for the same value; a group of alternatives no rule yet."""
    assert field.type not in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
    oneof = field.containing_oneof
    assert oneof is None or (len(oneof.fields) == 1 and oneof.name == f"_{field.name}")


@pytest.mark.parametrize("field", [f for f in FIELDS if f.name.endswith("at_ms")], ids=lambda f: f.full_name)
def test_times_are_milliseconds_with_a_sign(field: FieldDescriptor) -> None:
    assert field.type == FieldDescriptor.TYPE_INT64


@pytest.mark.parametrize("file", descriptors.own_files(), ids=lambda file: file.name)
def test_everything_says_what_it_is(file: descriptor_pb2.FileDescriptorProto) -> None:
    comments = {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}
    silent = []
    for at, message in enumerate(file.message_type):
        silent += [message.name] if not comments[4, at] else []
        silent += [f"{message.name}.{f.name}" for n, f in enumerate(message.field) if not comments[4, at, 2, n]]
    for at, enum in enumerate(file.enum_type):
        silent += [enum.name] if not comments[5, at] else []
        silent += [value.name for n, value in enumerate(enum.value) if not comments[5, at, 2, n]]
    assert silent == []


@pytest.mark.parametrize("file", descriptors.own_files(), ids=lambda file: file.name)
def test_an_enum_has_a_zero_and_its_name_in_each_value(file: descriptor_pb2.FileDescriptorProto) -> None:
    for enum in file.enum_type:
        assert enum.value[0].number == 0, enum.name
        prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name)[1:] + "_"
        assert [value.name for value in enum.value if not value.name.startswith(prefix)] == []
        assert len({value.number for value in enum.value}) == len(enum.value)


def test_no_map_has_an_order_of_its_own() -> None:
    """prost's default, a hash map, writes its entries in another order each time."""
    structs = (descriptors.ROOT / "rust/actor/src/messages/generated.rs").read_text(encoding="utf-8")
    assert "HashMap" not in structs
    generator = (descriptors.ROOT / "rust/gen/src/structs.rs").read_text(encoding="utf-8")
    assert '.btree_map(["."])' in generator
