"""Silence: an agent of which nothing comes does not run where it is tried; that is no failure of its own."""

from outerloop.trial.run import Trial

_SHOWN = 160  # characters of what it said


def does_not_run(commit: str, trial: Trial, times: int = 1) -> str:
    """That the agent at `commit` does not run here, as the last of so many trials without a trace tells."""
    said = " ".join("; ".join(trial.reasons[:-1]).split())  # the last one is that no trace came
    said = f"…{said[-_SHOWN:]}" if len(said) > _SHOWN else said
    asked = "it did not ask its model either" if trial.silent else "it asked its model or a tool"
    return (
        f"the agent at {commit[:12]} ran {'once' if times == 1 else f'{times} times'} and sent no trace"
        f" ({asked}). See to `run` and environment.lock in outerloop.yaml, to OUTERLOOP_AGENT_ENVIRONMENT,"
        f" and that it exports to OTEL_EXPORTER_OTLP_ENDPOINT by http/protobuf{': ' if said else ''}{said}"
    )
