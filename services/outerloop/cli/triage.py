"""`outerloop triage score`: what triage makes of traces in files, without Kafka and without ClickHouse."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from outerloop.cli import data, judge, output
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.trace.model import Span, Trace
from outerloop.trace.otlp import decode_traces, spans_of

app = typer.Typer(help="Triage: tried out on files, and how good its judge is.", no_args_is_help=True)
app.command("judge")(judge.judge)


@app.command("score")
def score(
    files: Annotated[
        list[Path],
        typer.Argument(help="OTLP traces: delimited protobuf or JSON lines; .zst too", metavar="FILE..."),
    ],
    *,
    labels: Annotated[
        Path | None,
        typer.Option(help='JSON lines {"trace_id": …, "success": true|false}, learned from first'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge every trace: a line each, in the order in which they came."""
    try:
        # Not at the top: scikit-learn takes a second to import, which every other command would wait for.
        from outerloop.triage.core.scoring import scored  # noqa: PLC0415
    except ImportError as error:
        raise UserError(f"triage needs {error.name}: pip install 'outerloop[triage]'") from error
    bad = _labels(labels) if labels else {}
    found = scored(_traces(files), bad)
    if as_json:
        for one in found:
            output.emit(one.line())
        return
    rows = [
        {k: one.line()[k] for k in ("trace_id", "score", "failed", "basis", "mode_title")} for one in found
    ]
    output.report(rows, as_json=False, empty="no traces")


def _traces(files: list[Path]) -> list[Trace]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for file in files:
        for record in data.records(file, data.read(file)):
            try:
                request = decode_traces(record)
            except PoisonError as error:
                raise UserError(f"{file}: {error}") from error
            for span in spans_of(request):
                spans[span.trace_id].append(span)
    return [Trace.of(of_one) for of_one in spans.values()]


def _labels(file: Path) -> dict[str, bool]:
    bad: dict[str, bool] = {}
    for number, line in _lines(file):
        try:
            label: Any = json.loads(line)
            trace_id, success = label["trace_id"], label["success"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f'{file}:{number}: expected {{"trace_id": …, "success": …}}: {error!r}'
            ) from error
        if not isinstance(success, bool):
            raise UserError(f"{file}:{number}: success must be true or false, got {success!r}")
        bad[str(trace_id)] = not success
    return bad


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: {error}") from error
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
