"""The result as a table: who, from where, spans accepted and stored a second, what kill -9 costs."""

from typing import Any

_WAYS = {"phoenix": "Phoenix, OTLP", "mlflow": "MLflow, OTLP", "collector": "Collector, Kafka"}


def of(result: dict[str, Any]) -> str:
    """Lines of equal columns; a dash where there is nothing to measure."""
    rows = [
        ("ClickHouse alone (limit)", {"persisted_per_s": result["limit_spans_per_s"]}),
        ("outerloop, Kafka", {"persisted_per_s": result["spans_per_s"]}),
        ("plain Python", {"persisted_per_s": result["python_way_spans_per_s"]}),
        ("outerloop, OTLP", result["over_otlp"]),
        *((_WAYS[name], figures) for name, figures in result["peers"].items()),
    ]
    return "\n".join([_line("spans a second", "accepted", "stored", "lost"), *(_row(*row) for row in rows)])


def _row(name: str, figures: dict[str, Any]) -> str:
    if "left_out" in figures:
        return f"{name:<26}left out: {figures['left_out']}"
    lost = figures.get("lost_share_after_kill")
    return _line(
        name,
        *(f"{figures[key]:,}" if key in figures else "-" for key in ("accepted_per_s", "persisted_per_s")),
        "-" if lost is None else f"{lost:.1%}",
    )


def _line(name: str, *cells: str) -> str:
    return f"{name:<26}" + "".join(f"{cell:>12}" for cell in cells)
