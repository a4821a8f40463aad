import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ruling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULING_UNSPECIFIED: _ClassVar[Ruling]
    RULING_MERGE: _ClassVar[Ruling]
    RULING_SPLIT: _ClassVar[Ruling]
    RULING_MUTE: _ClassVar[Ruling]
    RULING_UNMUTE: _ClassVar[Ruling]
    RULING_OPEN: _ClassVar[Ruling]
RULING_UNSPECIFIED: Ruling
RULING_MERGE: Ruling
RULING_SPLIT: Ruling
RULING_MUTE: Ruling
RULING_UNMUTE: Ruling
RULING_OPEN: Ruling

class ModeRuled(_message.Message):
    __slots__ = ("ruling_id", "agent", "mode_id", "ruling", "into_mode_id", "containing", "title", "why", "ruled_by", "ruled_at")
    RULING_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    RULING_FIELD_NUMBER: _ClassVar[int]
    INTO_MODE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTAINING_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    RULED_BY_FIELD_NUMBER: _ClassVar[int]
    RULED_AT_FIELD_NUMBER: _ClassVar[int]
    ruling_id: str
    agent: str
    mode_id: str
    ruling: Ruling
    into_mode_id: str
    containing: str
    title: str
    why: str
    ruled_by: str
    ruled_at: _timestamp_pb2.Timestamp
    def __init__(self, ruling_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., ruling: _Optional[_Union[Ruling, str]] = ..., into_mode_id: _Optional[str] = ..., containing: _Optional[str] = ..., title: _Optional[str] = ..., why: _Optional[str] = ..., ruled_by: _Optional[str] = ..., ruled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ModeEscalated(_message.Message):
    __slots__ = ("mode_id", "agent", "title", "traces_before", "failures_before", "traces_now", "failures_now", "hours", "escalated_at")
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TRACES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    TRACES_NOW_FIELD_NUMBER: _ClassVar[int]
    FAILURES_NOW_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_AT_FIELD_NUMBER: _ClassVar[int]
    mode_id: str
    agent: str
    title: str
    traces_before: int
    failures_before: int
    traces_now: int
    failures_now: int
    hours: int
    escalated_at: _timestamp_pb2.Timestamp
    def __init__(self, mode_id: _Optional[str] = ..., agent: _Optional[str] = ..., title: _Optional[str] = ..., traces_before: _Optional[int] = ..., failures_before: _Optional[int] = ..., traces_now: _Optional[int] = ..., failures_now: _Optional[int] = ..., hours: _Optional[int] = ..., escalated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
