import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Quality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUALITY_UNSPECIFIED: _ClassVar[Quality]
    QUALITY_GOOD: _ClassVar[Quality]
    QUALITY_BAD: _ClassVar[Quality]
QUALITY_UNSPECIFIED: Quality
QUALITY_GOOD: Quality
QUALITY_BAD: Quality

class TraceLabelled(_message.Message):
    __slots__ = ("trace_id", "agent", "quality", "why", "labelled_by", "labelled_at")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    LABELLED_BY_FIELD_NUMBER: _ClassVar[int]
    LABELLED_AT_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    agent: str
    quality: Quality
    why: str
    labelled_by: str
    labelled_at: _timestamp_pb2.Timestamp
    def __init__(self, trace_id: _Optional[str] = ..., agent: _Optional[str] = ..., quality: _Optional[_Union[Quality, str]] = ..., why: _Optional[str] = ..., labelled_by: _Optional[str] = ..., labelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
