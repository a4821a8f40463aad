"""Model map: what another model would break, on the release as it is with that model in its place.

The agent is not changed: the proxy puts the other model into the requests that the agent makes. Nothing ships
and no error is spent; see `core.modelmap`.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.gate.core.modelmap import MapTerms, ModelMap, Place
from outerloop.gate.core.order import prior_evals
from outerloop.gate.court.candidate import Candidate
from outerloop.gate.court.matter import matter_of
from outerloop.gate.people.clone import commit_in, mirror_of, suite_in
from outerloop.gate.people.files import Files
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.gate.trials.hear import Trials
from outerloop.gate.trials.purse import Unlimited
from outerloop.gate.trials.runner import Checkouts, Here
from outerloop.gate.trials.terms import terms_sha256
from outerloop.runtime.agentfile import agentfile_at
from outerloop.runtime.envelope import stable_id
from outerloop.store.trials import TrialRecord
from outerloop.trial.backend import sandbox_of


@dataclass(frozen=True, slots=True)
class Charted:
    """One eval under the other model; `reasons` are those of trials that failed, each once."""

    eval_id: str
    mode_id: str
    title: str
    place: Place
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole map, of the agent at `commit`."""

    agent: str
    commit: str
    evals: tuple[Charted, ...]


async def chart(
    clone: Path, base: str, model: str, settings: GateSettings, tell: Callable[[TrialRecord], None]
) -> Chart:
    """Run every eval of the suite in `clone` on `base` with `model`; `tell` hears of every trial.

    Raises:
        UserError: if the clone does not hold what is asked for.
        OutageError: when the model or the sandbox is away. What was run is on record.
    """
    with tempfile.TemporaryDirectory(prefix="model-", ignore_cleanup_errors=True) as scratch:
        repository, git = await mirror_of(clone, Path(scratch) / "mirror")
        commit = await commit_in(clone, base)
        terms = await agentfile_at(repository, commit)
        tree, sha256 = await repository.tree_of(commit), terms_sha256(settings, {"model": model})
        matter = await matter_of(
            repository,
            ChangeProposed(agent=terms.agent),
            Candidate("", commit, tree, "", terms),
            await suite_in(repository),
            None,
            terms=sha256,
        )
        series = stable_id("model map", commit, matter.suite.commit, sha256)
        bench = replace(matter.bench(series), subject=Subject.BASE, model=model)
        records = Files(git / "outerloop/trials", tell)
        runner = Here(settings, sandbox_of(settings), Checkouts(repository, Path(scratch) / "trees"), records)
        court = ModelMap(prior_evals(matter.standings, blocks={}, decisions=0), MapTerms())
        trials = Trials(runner, records, Unlimited(), at_once=settings.gate_trials_ahead)
        heard = await trials.on_record(bench.series)
        await trials.hear(bench, court, lambda: court.done, heard)
        evals = tuple(_charted(bench, place, heard) for place in court.places())
        return Chart(terms.agent, commit, evals)


def _charted(bench: Bench, place: Place, heard: list[TrialRecord]) -> Charted:
    eval_ = bench.entries[place.evidence.name].eval
    reasons = dict.fromkeys(reason for r in heard if r.eval_id == eval_.id for reason in r.reasons)
    return Charted(eval_.id, eval_.mode_id, eval_.title, place, tuple(reasons))
