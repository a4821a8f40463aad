import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialRequested(_message.Message):
    __slots__ = ("trial_id", "series", "agent", "eval_id", "eval_sha256", "number", "variant", "base_commit", "suite_commit", "change_id", "tree", "attempt", "requested_at", "request_id", "terms_sha256")
    TRIAL_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_SHA256_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    SUITE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TERMS_SHA256_FIELD_NUMBER: _ClassVar[int]
    trial_id: str
    series: str
    agent: str
    eval_id: str
    eval_sha256: str
    number: int
    variant: int
    base_commit: str
    suite_commit: str
    change_id: str
    tree: str
    attempt: int
    requested_at: _timestamp_pb2.Timestamp
    request_id: str
    terms_sha256: str
    def __init__(self, trial_id: _Optional[str] = ..., series: _Optional[str] = ..., agent: _Optional[str] = ..., eval_id: _Optional[str] = ..., eval_sha256: _Optional[str] = ..., number: _Optional[int] = ..., variant: _Optional[int] = ..., base_commit: _Optional[str] = ..., suite_commit: _Optional[str] = ..., change_id: _Optional[str] = ..., tree: _Optional[str] = ..., attempt: _Optional[int] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ..., terms_sha256: _Optional[str] = ...) -> None: ...

class TrialFinished(_message.Message):
    __slots__ = ("trial_id", "series", "agent", "eval_id", "number", "attempt", "passed", "not_run", "finished_at")
    TRIAL_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    NOT_RUN_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    trial_id: str
    series: str
    agent: str
    eval_id: str
    number: int
    attempt: int
    passed: bool
    not_run: str
    finished_at: _timestamp_pb2.Timestamp
    def __init__(self, trial_id: _Optional[str] = ..., series: _Optional[str] = ..., agent: _Optional[str] = ..., eval_id: _Optional[str] = ..., number: _Optional[int] = ..., attempt: _Optional[int] = ..., passed: _Optional[bool] = ..., not_run: _Optional[str] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
