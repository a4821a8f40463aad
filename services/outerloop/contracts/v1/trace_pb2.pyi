import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TraceSettled(_message.Message):
    __slots__ = ("trace_id", "agent", "agent_version", "spans", "started_at", "revision")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    agent: str
    agent_version: str
    spans: int
    started_at: _timestamp_pb2.Timestamp
    revision: str
    def __init__(self, trace_id: _Optional[str] = ..., agent: _Optional[str] = ..., agent_version: _Optional[str] = ..., spans: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...
