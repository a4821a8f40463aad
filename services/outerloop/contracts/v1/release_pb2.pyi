import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Finding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINDING_UNSPECIFIED: _ClassVar[Finding]
    FINDING_CONFIRMED_CLOSED: _ClassVar[Finding]
    FINDING_REGRESSED: _ClassVar[Finding]
    FINDING_WORSE: _ClassVar[Finding]
    FINDING_ROLLED_BACK: _ClassVar[Finding]
    FINDING_ROLLBACK_ASKED: _ClassVar[Finding]
    FINDING_DRIFTED: _ClassVar[Finding]
FINDING_UNSPECIFIED: Finding
FINDING_CONFIRMED_CLOSED: Finding
FINDING_REGRESSED: Finding
FINDING_WORSE: Finding
FINDING_ROLLED_BACK: Finding
FINDING_ROLLBACK_ASKED: Finding
FINDING_DRIFTED: Finding

class ReleaseWatched(_message.Message):
    __slots__ = ("decision_id", "agent", "mode_id", "eval_id", "shipped_commit", "finding", "subject", "reason", "traces", "failures", "rollback_commit", "found_at")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    SHIPPED_COMMIT_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_COMMIT_FIELD_NUMBER: _ClassVar[int]
    FOUND_AT_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    agent: str
    mode_id: str
    eval_id: str
    shipped_commit: str
    finding: Finding
    subject: str
    reason: str
    traces: int
    failures: int
    rollback_commit: str
    found_at: _timestamp_pb2.Timestamp
    def __init__(self, decision_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., eval_id: _Optional[str] = ..., shipped_commit: _Optional[str] = ..., finding: _Optional[_Union[Finding, str]] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., traces: _Optional[int] = ..., failures: _Optional[int] = ..., rollback_commit: _Optional[str] = ..., found_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvalReopened(_message.Message):
    __slots__ = ("eval_id", "agent", "mode_id", "commit", "reason", "passed", "trials", "reopened_at")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    REOPENED_AT_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    mode_id: str
    commit: str
    reason: str
    passed: int
    trials: int
    reopened_at: _timestamp_pb2.Timestamp
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., commit: _Optional[str] = ..., reason: _Optional[str] = ..., passed: _Optional[int] = ..., trials: _Optional[int] = ..., reopened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
