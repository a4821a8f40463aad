import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoopPaused(_message.Message):
    __slots__ = ("agent", "paused", "by", "reason", "at")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    paused: bool
    by: str
    reason: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, agent: _Optional[str] = ..., paused: _Optional[bool] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LessonNoted(_message.Message):
    __slots__ = ("lesson_id", "agent", "mode_id", "text", "retired", "by", "reason", "noted_at")
    LESSON_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOTED_AT_FIELD_NUMBER: _ClassVar[int]
    lesson_id: str
    agent: str
    mode_id: str
    text: str
    retired: bool
    by: str
    reason: str
    noted_at: _timestamp_pb2.Timestamp
    def __init__(self, lesson_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., text: _Optional[str] = ..., retired: _Optional[bool] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., noted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
