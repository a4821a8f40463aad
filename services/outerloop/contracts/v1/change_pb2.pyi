import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeProposed(_message.Message):
    __slots__ = ("change_id", "agent", "mode_id", "eval_id", "attempt", "base_commit", "patch", "diagnosis", "model", "proposed_at")
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSIS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_AT_FIELD_NUMBER: _ClassVar[int]
    change_id: str
    agent: str
    mode_id: str
    eval_id: str
    attempt: int
    base_commit: str
    patch: str
    diagnosis: str
    model: str
    proposed_at: _timestamp_pb2.Timestamp
    def __init__(self, change_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., eval_id: _Optional[str] = ..., attempt: _Optional[int] = ..., base_commit: _Optional[str] = ..., patch: _Optional[str] = ..., diagnosis: _Optional[str] = ..., model: _Optional[str] = ..., proposed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ChangeAbandoned(_message.Message):
    __slots__ = ("agent", "mode_id", "eval_id", "attempts", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    mode_id: str
    eval_id: str
    attempts: int
    reason: str
    def __init__(self, agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., eval_id: _Optional[str] = ..., attempts: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
