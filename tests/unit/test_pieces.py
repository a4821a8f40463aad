"""A request cut into records: nothing lost, nothing twice, a trace a record, sizes kept."""

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from outerloop.ingest.core.pieces import Piece, pieces

SPANS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=6)
REQUESTS = st.lists(st.tuples(st.text(max_size=40), st.lists(SPANS, max_size=3)), max_size=4)


def request(groups: list[tuple[str, list[list[tuple[int, int]]]]]) -> ExportTraceServiceRequest:
    made, number = ExportTraceServiceRequest(), 0
    for url, scopes in groups:
        group = made.resource_spans.add(schema_url=url)
        for spans in scopes:
            scope = group.scope_spans.add()
            scope.scope.name = f"scope of {len(spans)}"
            for trace, length in spans:
                number += 1
                trace_id = bytes([trace]) * 16 if trace else b""
                scope.spans.add(trace_id=trace_id, span_id=number.to_bytes(8, "big"), name="x" * length)
    return made


def cut(made: ExportTraceServiceRequest, most: int) -> list[Piece]:
    return list(pieces(made, "resource_spans", "scope_spans", "spans", most))


def told(made: ExportTraceServiceRequest) -> list[tuple[str, str, bytes]]:
    """Every span with where it stands."""
    return [
        (group.schema_url, scope.scope.name, span.SerializeToString())
        for group in made.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


@given(REQUESTS, st.integers(100, 2000))
@settings(deadline=None)
def test_pieces_are_the_request(groups: list[tuple[str, list[list[tuple[int, int]]]]], most: int) -> None:
    made = request(groups)
    parts = cut(made, most)
    assert sorted(span for part in parts for span in told(part.message)) == sorted(told(made))
    for part in parts:
        spans = told(part.message)
        traces = {trace_pb2.Span.FromString(span).trace_id for *_, span in spans}
        assert len(traces) == 1
        assert part.key == (traces.pop().hex().encode() or None)
        assert part.items == len(spans) > 0
        assert part.message.ByteSize() <= most or part.items == 1


def test_one_trace_goes_as_it_came() -> None:
    made = request([("u", [[(1, 5), (1, 6)]]), ("v", [[(1, 7)]])])
    (part,) = cut(made, 10_000)
    assert part.message is made


def test_nothing_makes_no_record() -> None:
    assert cut(ExportTraceServiceRequest(), 100) == []
    assert cut(request([("u", [[]])]), 100) == []
