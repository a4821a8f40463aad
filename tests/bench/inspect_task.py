"""Runs in Inspect AI's own environment: `python inspect_task.py PYTHON TREE TRIALS AT_ONCE`, for seconds."""

import sys
import time
from typing import Any

import inspect_ai  # type: ignore[import-not-found]  # trial_peers installs it, for this file alone
from inspect_ai.dataset import Sample  # type: ignore[import-not-found]  # as above
from inspect_ai.scorer import includes  # type: ignore[import-not-found]  # as above
from inspect_ai.solver import solver  # type: ignore[import-not-found]  # as above
from inspect_ai.util import sandbox  # type: ignore[import-not-found]  # as above

PYTHON, TREE, TRIALS, AT_ONCE = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


@solver  # type: ignore[untyped-decorator]  # as above
def trivial() -> Any:
    """Runs the agent's command; its output is the answer."""

    async def solve(state: Any, _: Any) -> Any:
        command = [PYTHON, "-S", "-E", f"{TREE}/trivial_agent.py"]
        done = await sandbox().exec(command, input=state.input_text + "\n")
        state.output.completion = done.stdout
        return state

    return solve


def run(trials: int) -> None:
    """One eval of so many samples."""
    samples = [Sample(input=f"anything {n}", target="ok") for n in range(trials)]
    task = inspect_ai.Task(dataset=samples, solver=trivial(), scorer=includes(), sandbox="local")
    (log,) = inspect_ai.eval(
        task,
        model="mockllm/model",
        max_samples=AT_ONCE,
        max_subprocesses=AT_ONCE,
        display="none",
        log_dir=f"{TREE}/logs",
    )
    if log.status != "success" or log.results.scores[0].metrics["accuracy"].value != 1:
        sys.exit(f"{log.status}: {log.error}")


def main() -> None:
    """A first eval warms up, and says what one takes without trials."""
    run(1)
    first = time.perf_counter()
    run(1)
    second = time.perf_counter()
    run(TRIALS + 1)
    sys.stdout.write(f"{(time.perf_counter() - second) - (second - first)}\n")


main()
