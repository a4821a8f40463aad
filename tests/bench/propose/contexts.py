"""What a session is told of a flaw: as the harness does, as a naive dump of the same evidence, or nothing.

The dump is what one gets without a harness's work: every span of the same runs as OTLP's JSON, every file
that may be changed in full, the eval's own file, every earlier patch and verdict.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from outerloop.propose import context, prompts
from outerloop.propose.context import Evidence
from outerloop.propose.workspace import Workspace
from outerloop.trace.model import Span


@dataclass(frozen=True, slots=True)
class Context:
    """A kind of context; `evidence`: whether the tools show more of it."""

    name: str
    message: Callable[[Evidence, Workspace], str]
    evidence: bool = True


def composed(evidence: Evidence, _: Workspace) -> str:
    """What the service tells."""
    return context.message(evidence, prompts.load("task.md"))


def blind(evidence: Evidence, workspace: Workspace) -> str:
    """The same task without what the runs show: what can be repaired so was no matter of evidence."""
    bare = replace(evidence, title="It fails", signals=(), failing=None, healthy=None, others=())
    return composed(bare, workspace)


def dumped(evidence: Evidence, workspace: Workspace) -> str:
    """All of it, as it is."""
    runs = [[_otlp(span) for span in trace.spans] for trace in evidence.runs.values()]
    files = [f"=== {path}\n{_whole(workspace, path)}" for path in evidence.files]
    parts = [
        f"# Task\n\nChange the agent {evidence.eval.agent} so that it passes this eval.",
        evidence.eval.to_yaml(),
        "\n".join(f"{s.kind} {s.subject}: {s.detail}" for s in evidence.signals),
        "\n".join(json.dumps(run, ensure_ascii=False) for run in runs),
        *files,
        *(
            json.dumps(asdict(attempt), ensure_ascii=False, indent=1).replace("\\n", "\n")
            for attempt in evidence.attempts
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _otlp(span: Span) -> dict[str, Any]:
    """A span as a collector writes it."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in span.attributes.items()],
        "resource": [{"key": k, "value": {"stringValue": v}} for k, v in span.resource.items()],
        "status": {"code": span.status, "message": span.status_message},
    }


def _whole(workspace: Workspace, path: str) -> str:
    return (workspace.root / path).read_text()


COMPOSED = Context("composed", composed)
DUMPED = Context("dumped", dumped)
BLIND = Context("blind", blind, evidence=False)
