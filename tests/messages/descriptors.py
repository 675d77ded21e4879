"""The .proto set, compiled by rust/gen, in a pool of the `protobuf` package: another hand that reads and writes it."""

import functools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import gen_messages  # noqa: E402

PACKAGE = "treering.v1"


@functools.cache
def files() -> descriptor_pb2.FileDescriptorSet:
    """Returns all files, those that they import first, with their comments."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "descriptors.binpb"
        gen_messages.run("descriptors", target)
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def own_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """Returns those of our package."""
    return [file for file in files().file if file.package == PACKAGE]


@functools.cache
def pool() -> descriptor_pool.DescriptorPool:
    """Returns a pool of its own, so that our options are known in it."""
    known = descriptor_pool.DescriptorPool()
    for file in files().file:
        known.AddSerializedFile(file.SerializeToString())
    return known


def names() -> list[str]:
    """Returns the names of all messages, without the package."""
    return [message.name for file in own_files() for message in file.message_type]


def described(name: str) -> Descriptor:
    return pool().FindMessageTypeByName(f"{PACKAGE}.{name}")


def message_class(name: str) -> Any:
    """Returns the class that the `protobuf` package makes of a message."""
    return message_factory.GetMessageClass(described(name))


def has_option(name: str, option: str) -> bool:
    """Returns whether a message is marked with one of our options."""
    read = message_factory.GetMessageClass(pool().FindMessageTypeByName("google.protobuf.MessageOptions"))
    options = read.FromString(described(name).GetOptions().SerializeToString())
    return bool(options.Extensions[pool().FindExtensionByName(f"{PACKAGE}.{option}")])


def public_names() -> list[str]:
    """Returns the names of the messages that have a class in `treering.messages`."""
    return [name for name in names() if not has_option(name, "internal")]


def fields() -> Iterator[FieldDescriptor]:
    """Yields every field of every message."""
    for name in names():
        yield from described(name).fields
