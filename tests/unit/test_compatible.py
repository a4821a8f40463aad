"""One version back: consumers of the last release read what is written now, and its messages are read now.

`proto/released.binpb` is the contracts as they were last released (`make release-contracts`).
"""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from outerloop.runtime.topics import message_types, spec_of
from unit.test_contracts import EXAMPLES, name

PROTO = Path(__file__).parents[2] / "proto"


def pool() -> DescriptorPool:
    files = FileDescriptorSet.FromString((PROTO / "released.binpb").read_bytes())
    one = DescriptorPool()
    for file in files.file:
        one.Add(file)
    return one


RELEASED = pool()
THEN = {kind.DESCRIPTOR.full_name: kind for kind in message_types()}


def released(full_name: str) -> type[Message] | None:
    """The class of a message as it was; None for one that is new."""
    try:
        return GetMessageClass(RELEASED.FindMessageTypeByName(full_name))
    except KeyError:
        return None


def filled(kind: type[Message]) -> Message:
    """A message with something in every field."""
    one = kind()
    for field in kind.DESCRIPTOR.fields:
        _fill(one, field)
    return one


def _fill(one: Any, field: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        target = getattr(one, field.name)
        (target.add() if field.is_repeated else target).SetInParent()
        return
    value: Any = {
        FieldDescriptor.CPPTYPE_STRING: b"x" if field.type == FieldDescriptor.TYPE_BYTES else "x",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
        FieldDescriptor.CPPTYPE_FLOAT: 1.5,
    }.get(field.cpp_type, 1)
    if field.is_repeated:
        getattr(one, field.name).append(value)
    else:
        setattr(one, field.name, value)


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_an_old_consumer_reads_what_is_written_now_and_loses_nothing(message: Message) -> None:
    kind = released(message.DESCRIPTOR.full_name)
    if kind is None:
        pytest.skip("it is new: nobody reads it yet")
    then = kind.FromString(message.SerializeToString())
    now, old = MessageToDict(message), MessageToDict(then)
    assert all(now[key] == value for key, value in old.items())  # what it knows, it understands as we do
    again = type(message).FromString(then.SerializeToString())
    assert again == message  # and what it does not know goes through it unharmed


@pytest.mark.parametrize("full_name", sorted(THEN))
def test_what_an_old_producer_wrote_is_read_now(full_name: str) -> None:
    kind = released(full_name)
    if kind is None:
        pytest.skip("it is new: nobody has written it yet")
    old = filled(kind)
    now = THEN[full_name].FromString(old.SerializeToString())
    assert MessageToDict(now) == MessageToDict(old)


def test_no_message_and_no_topic_of_the_release_is_gone() -> None:
    package = "outerloop.contracts.v1"
    files = FileDescriptorSet.FromString((PROTO / "released.binpb").read_bytes())
    old = {f"{package}.{m.name}" for file in files.file if file.package == package for m in file.message_type}
    assert len(old) > 10
    assert old <= THEN.keys()
    for full_name in old:
        kind = released(full_name)
        assert kind is not None
        then, now = kind.DESCRIPTOR.GetOptions().SerializeToString(), spec_of(THEN[full_name])
        assert (b"outerloop." in then) == (now is not None)
        assert now is None or now.name.encode() in then
