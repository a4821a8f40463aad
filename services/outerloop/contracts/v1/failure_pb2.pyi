import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Signal(_message.Message):
    __slots__ = ("kind", "subject", "detail", "span_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    detail: str
    span_id: str
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., detail: _Optional[str] = ..., span_id: _Optional[str] = ...) -> None: ...

class FailureDetected(_message.Message):
    __slots__ = ("failure_id", "agent", "agent_version", "trace_id", "mode_id", "signals", "occurred_at", "detector")
    FAILURE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    failure_id: str
    agent: str
    agent_version: str
    trace_id: str
    mode_id: str
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    occurred_at: _timestamp_pb2.Timestamp
    detector: str
    def __init__(self, failure_id: _Optional[str] = ..., agent: _Optional[str] = ..., agent_version: _Optional[str] = ..., trace_id: _Optional[str] = ..., mode_id: _Optional[str] = ..., signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detector: _Optional[str] = ...) -> None: ...

class ModeOpened(_message.Message):
    __slots__ = ("mode_id", "agent", "title", "fingerprint", "trace_ids", "opened_at")
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TRACE_IDS_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    mode_id: str
    agent: str
    title: str
    fingerprint: str
    trace_ids: _containers.RepeatedScalarFieldContainer[str]
    opened_at: _timestamp_pb2.Timestamp
    def __init__(self, mode_id: _Optional[str] = ..., agent: _Optional[str] = ..., title: _Optional[str] = ..., fingerprint: _Optional[str] = ..., trace_ids: _Optional[_Iterable[str]] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
