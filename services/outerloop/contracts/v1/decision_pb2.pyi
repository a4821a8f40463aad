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

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_SHIP: _ClassVar[Verdict]
    VERDICT_REJECT: _ClassVar[Verdict]
    VERDICT_INCONCLUSIVE: _ClassVar[Verdict]

class Obstacle(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBSTACLE_UNSPECIFIED: _ClassVar[Obstacle]
    OBSTACLE_INVARIANT: _ClassVar[Obstacle]
    OBSTACLE_CONFLICT: _ClassVar[Obstacle]
    OBSTACLE_TESTS: _ClassVar[Obstacle]
    OBSTACLE_NEW_EVAL: _ClassVar[Obstacle]
    OBSTACLE_PRIOR_EVAL: _ClassVar[Obstacle]
    OBSTACLE_HELD_OUT: _ClassVar[Obstacle]
    OBSTACLE_DRIFT: _ClassVar[Obstacle]
    OBSTACLE_NOT_REPRODUCED: _ClassVar[Obstacle]
    OBSTACLE_PERSON: _ClassVar[Obstacle]
    OBSTACLE_UNDECIDED: _ClassVar[Obstacle]
    OBSTACLE_VOID: _ClassVar[Obstacle]
VERDICT_UNSPECIFIED: Verdict
VERDICT_SHIP: Verdict
VERDICT_REJECT: Verdict
VERDICT_INCONCLUSIVE: Verdict
OBSTACLE_UNSPECIFIED: Obstacle
OBSTACLE_INVARIANT: Obstacle
OBSTACLE_CONFLICT: Obstacle
OBSTACLE_TESTS: Obstacle
OBSTACLE_NEW_EVAL: Obstacle
OBSTACLE_PRIOR_EVAL: Obstacle
OBSTACLE_HELD_OUT: Obstacle
OBSTACLE_DRIFT: Obstacle
OBSTACLE_NOT_REPRODUCED: Obstacle
OBSTACLE_PERSON: Obstacle
OBSTACLE_UNDECIDED: Obstacle
OBSTACLE_VOID: Obstacle

class EvalOutcome(_message.Message):
    __slots__ = ("eval_id", "title", "trials", "passed", "held", "reasons", "divergences")
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    eval_id: str
    title: str
    trials: int
    passed: int
    held: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    divergences: int
    def __init__(self, eval_id: _Optional[str] = ..., title: _Optional[str] = ..., trials: _Optional[int] = ..., passed: _Optional[int] = ..., held: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ..., divergences: _Optional[int] = ...) -> None: ...

class DecisionReached(_message.Message):
    __slots__ = ("decision_id", "agent", "change_id", "mode_id", "eval_id", "verdict", "obstacle", "reason", "outcomes", "base_commit", "candidate_commit", "suite_commit", "shipped_commit", "certificate_sha256", "decided_at", "claims", "alpha", "ledger_index", "series")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    SUITE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    SHIPPED_COMMIT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    agent: str
    change_id: str
    mode_id: str
    eval_id: str
    verdict: Verdict
    obstacle: Obstacle
    reason: str
    outcomes: _containers.RepeatedCompositeFieldContainer[EvalOutcome]
    base_commit: str
    candidate_commit: str
    suite_commit: str
    shipped_commit: str
    certificate_sha256: str
    decided_at: _timestamp_pb2.Timestamp
    claims: _containers.RepeatedCompositeFieldContainer[ClaimShown]
    alpha: float
    ledger_index: int
    series: str
    def __init__(self, decision_id: _Optional[str] = ..., agent: _Optional[str] = ..., change_id: _Optional[str] = ..., mode_id: _Optional[str] = ..., eval_id: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., obstacle: _Optional[_Union[Obstacle, str]] = ..., reason: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[EvalOutcome, _Mapping]]] = ..., base_commit: _Optional[str] = ..., candidate_commit: _Optional[str] = ..., suite_commit: _Optional[str] = ..., shipped_commit: _Optional[str] = ..., certificate_sha256: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., claims: _Optional[_Iterable[_Union[ClaimShown, _Mapping]]] = ..., alpha: _Optional[float] = ..., ledger_index: _Optional[int] = ..., series: _Optional[str] = ...) -> None: ...

class ClaimShown(_message.Message):
    __slots__ = ("kind", "name", "state", "bar", "passed", "trials", "log_e_above", "log_e_below")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BAR_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    LOG_E_ABOVE_FIELD_NUMBER: _ClassVar[int]
    LOG_E_BELOW_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    state: str
    bar: float
    passed: int
    trials: int
    log_e_above: float
    log_e_below: float
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., bar: _Optional[float] = ..., passed: _Optional[int] = ..., trials: _Optional[int] = ..., log_e_above: _Optional[float] = ..., log_e_below: _Optional[float] = ...) -> None: ...
