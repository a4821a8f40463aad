import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from outerloop.contracts.v1 import topic_pb2 as _topic_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reproduction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPRODUCTION_UNSPECIFIED: _ClassVar[Reproduction]
    REPRODUCTION_REPRODUCED: _ClassVar[Reproduction]
    REPRODUCTION_NOT_REPRODUCED: _ClassVar[Reproduction]

class Review(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_UNSPECIFIED: _ClassVar[Review]
    REVIEW_ACCEPT: _ClassVar[Review]
    REVIEW_REJECT: _ClassVar[Review]
    REVIEW_EDIT: _ClassVar[Review]
    REVIEW_NOT_A_FAILURE: _ClassVar[Review]
    REVIEW_MUTE: _ClassVar[Review]
    REVIEW_RETIRE: _ClassVar[Review]
REPRODUCTION_UNSPECIFIED: Reproduction
REPRODUCTION_REPRODUCED: Reproduction
REPRODUCTION_NOT_REPRODUCED: Reproduction
REVIEW_UNSPECIFIED: Review
REVIEW_ACCEPT: Review
REVIEW_REJECT: Review
REVIEW_EDIT: Review
REVIEW_NOT_A_FAILURE: Review
REVIEW_MUTE: Review
REVIEW_RETIRE: Review

class EvalDrafted(_message.Message):
    __slots__ = ("eval_id", "agent", "mode_id", "title", "content_sha256", "proof")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    mode_id: str
    title: str
    content_sha256: str
    proof: Proof
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., title: _Optional[str] = ..., content_sha256: _Optional[str] = ..., proof: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("failing_caught", "failing", "healthy_passed", "healthy", "mutants_killed", "mutants", "reproduction", "base_commit", "base_passed", "base_trials")
    FAILING_CAUGHT_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_PASSED_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MUTANTS_KILLED_FIELD_NUMBER: _ClassVar[int]
    MUTANTS_FIELD_NUMBER: _ClassVar[int]
    REPRODUCTION_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    BASE_PASSED_FIELD_NUMBER: _ClassVar[int]
    BASE_TRIALS_FIELD_NUMBER: _ClassVar[int]
    failing_caught: int
    failing: int
    healthy_passed: int
    healthy: int
    mutants_killed: int
    mutants: int
    reproduction: Reproduction
    base_commit: str
    base_passed: int
    base_trials: int
    def __init__(self, failing_caught: _Optional[int] = ..., failing: _Optional[int] = ..., healthy_passed: _Optional[int] = ..., healthy: _Optional[int] = ..., mutants_killed: _Optional[int] = ..., mutants: _Optional[int] = ..., reproduction: _Optional[_Union[Reproduction, str]] = ..., base_commit: _Optional[str] = ..., base_passed: _Optional[int] = ..., base_trials: _Optional[int] = ...) -> None: ...

class EvalLinked(_message.Message):
    __slots__ = ("agent", "mode_id", "eval_id", "eval_mode_id", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_MODE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    mode_id: str
    eval_id: str
    eval_mode_id: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., eval_id: _Optional[str] = ..., eval_mode_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EvalUndraftable(_message.Message):
    __slots__ = ("agent", "mode_id", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    mode_id: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EvalImported(_message.Message):
    __slots__ = ("eval_id", "agent", "eval_yaml", "cassette_jsonl", "lost", "imported_by", "imported_at")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EVAL_YAML_FIELD_NUMBER: _ClassVar[int]
    CASSETTE_JSONL_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_BY_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    eval_yaml: str
    cassette_jsonl: str
    lost: _containers.RepeatedScalarFieldContainer[str]
    imported_by: str
    imported_at: _timestamp_pb2.Timestamp
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., eval_yaml: _Optional[str] = ..., cassette_jsonl: _Optional[str] = ..., lost: _Optional[_Iterable[str]] = ..., imported_by: _Optional[str] = ..., imported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvalReviewed(_message.Message):
    __slots__ = ("eval_id", "agent", "review", "reviewer", "reason", "content_sha256", "reviewed_at", "eval_yaml")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_AT_FIELD_NUMBER: _ClassVar[int]
    EVAL_YAML_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    review: Review
    reviewer: str
    reason: str
    content_sha256: str
    reviewed_at: _timestamp_pb2.Timestamp
    eval_yaml: str
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., review: _Optional[_Union[Review, str]] = ..., reviewer: _Optional[str] = ..., reason: _Optional[str] = ..., content_sha256: _Optional[str] = ..., reviewed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., eval_yaml: _Optional[str] = ...) -> None: ...

class EvalAccepted(_message.Message):
    __slots__ = ("eval_id", "agent", "mode_id", "content_sha256", "accepted_by", "accepted_at")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_BY_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    mode_id: str
    content_sha256: str
    accepted_by: str
    accepted_at: _timestamp_pb2.Timestamp
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., content_sha256: _Optional[str] = ..., accepted_by: _Optional[str] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvalRetired(_message.Message):
    __slots__ = ("eval_id", "agent", "mode_id", "retired_by", "reason", "retired_at")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    RETIRED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    agent: str
    mode_id: str
    retired_by: str
    reason: str
    retired_at: _timestamp_pb2.Timestamp
    def __init__(self, eval_id: _Optional[str] = ..., agent: _Optional[str] = ..., mode_id: _Optional[str] = ..., retired_by: _Optional[str] = ..., reason: _Optional[str] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
