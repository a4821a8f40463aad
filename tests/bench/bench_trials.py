"""What a trial costs beyond the agent's own run time: `make bench-trials [ARGS=--short]`.

A trivial agent (one model call, one span) runs bare, in our trials (cold sandbox, proxy, graded trace) and,
unless --short, in Inspect AI and promptfoo; those two in their default isolation, which is none. Our overhead
is the median difference to a bare run made right before; the peers', which run many trials as one, is the
mean time of a trial less the median bare run. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.installed import Unavailable
from bench.trial_peers import PEERS, Peer
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance
from outerloop.runtime.agentfile import AgentFile
from outerloop.trial.isolation import Bubblewrap
from outerloop.trial.run import TrialSpec, model_session, run_trial
from outerloop.trial.sandbox import Sandbox

HERE = Path(__file__).parent
TARGET = {"overhead_ms": 60, "trials_per_second": 40}
AT_ONCE = 4
OURS = "outerloop, bubblewrap"


@dataclass(frozen=True, slots=True)
class Row:
    """One harness: overhead per trial, trials a second with some at once."""

    harness: str
    overhead_ms: float
    trials_per_second: float


@dataclass(frozen=True, slots=True)
class Bare:
    """The agent without a harness: its wall time, and its CPU time beside that of one of our trials."""

    seconds: float
    cpu_ms: float
    trial_cpu_ms: float


def cpu_ms() -> float:
    """CPU time so far of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1000 * sum(each.ru_utime + each.ru_stime for each in used)


async def seconds_of(run: Callable[[], Awaitable[None]]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    await run()
    return time.perf_counter() - start


def trial_spec(tree: Path, model: str) -> TrialSpec:
    """A trial of the trivial agent, that must answer."""
    asked = Eval(
        id="trivial",
        agent="trivial",
        mode_id="bench",
        title="answers",
        input={"ask": "anything"},
        expect=(Answered(),),
        provenance=Provenance(drafted_by="bench", drafted_at=datetime.now(UTC), source_traces=()),
    )
    command = ("python", "-S", "-E", "trivial_agent.py")
    return TrialSpec(
        checkout=tree,
        version="bench",
        agent=AgentFile(agent="trivial", run=command, mutable=("*",)),
        eval=asked,
        cassette=Cassette(calls=()),
        tools_checkout=tree,
        environment=Path(sys.prefix),
        model_url=model,
        model_key="none",
    )


async def bare(tree: Path, model: str) -> None:
    """The agent as a plain process."""
    env = {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": model, "OTEL_EXPORTER_OTLP_ENDPOINT": model}
    command = (str(Path(sys.prefix) / "bin" / "python"), "-S", "-E", "trivial_agent.py")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=tree, env=env, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(b'{"ask": "anything"}\n')
    if out != b"ok\n":
        raise RuntimeError(f"the bare agent said {out!r}")


async def ours(tree: Path, model: str, rounds: int) -> tuple[Bare, Row]:
    """A bare run, and our row."""
    sandbox = Sandbox(Bubblewrap())

    async def trial() -> None:
        done = await run_trial(trial_spec(tree, model), sandbox, session)
        if not done.passed:
            raise RuntimeError(f"the trial failed: {done.reasons}")

    async def worker() -> None:
        for _ in left:
            await trial()

    async with model_session() as session:
        await bare(tree, model)
        await trial()
        pairs = [
            (await seconds_of(lambda: bare(tree, model)), await seconds_of(trial)) for _ in range(rounds)
        ]
        left, used, start = iter(range(2 * rounds)), cpu_ms(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        rate, used = 2 * rounds / (time.perf_counter() - start), (cpu_ms() - used) / (2 * rounds)
        before = cpu_ms()
        for _ in range(rounds):
            await bare(tree, model)
    overhead = 1000 * statistics.median(with_us - alone for alone, with_us in pairs)
    alone = statistics.median(alone for alone, _ in pairs)
    return Bare(alone, (cpu_ms() - before) / rounds, used), Row(OURS, overhead, rate)


def theirs(peer: Peer, tree: Path, model: str, rounds: int, alone: float) -> Row:
    """A peer's row."""
    serial = peer.seconds(tree, model, rounds, 1) / rounds
    return Row(
        peer.name, 1000 * (serial - alone), 2 * rounds / peer.seconds(tree, model, 2 * rounds, AT_ONCE)
    )


def show(rows: list[Row], alone: Bare) -> None:
    """The table."""
    say = sys.stdout.write
    say(f"bare agent: {1000 * alone.seconds:.1f} ms, of CPU {alone.cpu_ms:.1f} ms; ")
    say(f"one of our trials with it: {alone.trial_cpu_ms:.1f} ms of CPU\n")
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    say(f"{'harness':<44}{'overhead ms':>12}{'trials/s':>10}\n")
    for row in rows:
        say(f"{row.harness:<44}{row.overhead_ms:>12.1f}{row.trials_per_second:>10.1f}\n")
    say(f"{'target':<44}{TARGET['overhead_ms']:>12}{TARGET['trials_per_second']:>10}\n")


def measure(rounds: int, peers: tuple[Peer, ...]) -> tuple[Bare, list[Row]]:
    """The bare agent, and all rows; a peer that cannot be installed is named and left out."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tree = Path(shutil.copy(HERE / "trivial_agent.py", folder)).parent
        command = [sys.executable, str(HERE / "trivial_model.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            model = server.stdout.readline().strip()
            try:
                alone, row = asyncio.run(ours(tree, model, rounds))
                rows = [row]
                for peer in peers:
                    try:
                        rows.append(theirs(peer, tree, model, rounds, alone.seconds))
                    except Unavailable as error:
                        sys.stdout.write(f"{peer.name}: {error}\n")
            finally:
                server.kill()
    return alone, rows


def main() -> None:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="few rounds, and without the peers")
    short = parser.parse_args().short
    alone, rows = measure(5 if short else 40, () if short else PEERS)
    show(rows, alone)
    result = {"bench": "trials", "bare": asdict(alone), "rows": [asdict(row) for row in rows]}
    sys.stdout.write(json.dumps({**result, "target": TARGET, "load": os.getloadavg()[0]}) + "\n")


if __name__ == "__main__":
    main()
