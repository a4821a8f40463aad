"""The same gate for people's changes: two commits of a clone, the suite in it, and nothing else.

No Kafka and no ClickHouse: suite and ledger are in the repository, trials on record in a folder. A person may
change any file, and the `outerloop.yaml` that counts is the changed one; what the change must keep is what
every change must keep: all evals of the suite, each proven above its bar. The error is of a ledger of its
own: no number of checks takes anything from what the loop may spend, or the other way round.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import OBSTACLE_TESTS, OBSTACLE_VOID, DecisionReached
from outerloop.gate.court import says
from outerloop.gate.court.candidate import Candidate, decision_id
from outerloop.gate.court.checks import failing_tests
from outerloop.gate.court.hearing import Hearing
from outerloop.gate.court.matter import Matter, matter_of
from outerloop.gate.court.rows import Past
from outerloop.gate.court.series import series_of, unspent
from outerloop.gate.people.clone import commit_in, mirror_of, suite_in
from outerloop.gate.people.files import Files
from outerloop.gate.release import ledger
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Records
from outerloop.gate.trials.hear import Trials, VoidError
from outerloop.gate.trials.purse import Unlimited
from outerloop.gate.trials.runner import Checkouts, Here
from outerloop.gate.trials.terms import terms_sha256
from outerloop.runtime.agentfile import agentfile_at
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.runtime.git import Repository
from outerloop.store.trials import TrialRecord
from outerloop.trial.backend import sandbox_of
from outerloop.trial.committed import spec_of
from outerloop.trial.run import run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.silence import does_not_run


async def check(
    clone: Path, base: str, head: str, settings: GateSettings, tell: Callable[[TrialRecord], None]
) -> DecisionReached:
    """The gate's verdict on what `head` makes of `base` in `clone`. Nothing ships; the ledger is kept there.

    `tell` hears of every trial that is run.

    Raises:
        UserError: if the clone does not hold what is asked for, or the base does not run here.
        OutageError: when the model or the sandbox is away. What was run is on record.
    """
    with tempfile.TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True) as scratch:
        repository, git = await mirror_of(clone, Path(scratch) / "mirror")
        commits = [await commit_in(clone, name) for name in (base, head)]
        records = Files(git / "outerloop/trials", tell)
        matter = await _matter(repository, commits[0], commits[1], settings)
        checkouts = Checkouts(repository, Path(scratch) / "trees")
        sandbox = sandbox_of(settings)
        if failing := await failing_tests(matter.candidate, checkouts, settings, sandbox):
            return says.decision(
                matter.change, matter.candidate, matter.suite, obstacle=OBSTACLE_TESTS, reason=failing
            )
        await _check_base_runs(repository, matter, checkouts, settings, sandbox)
        trials = Trials(
            Here(settings, sandbox, checkouts, records),
            records,
            Unlimited(),
            at_once=settings.gate_trials_ahead,
        )
        try:
            return await _decide(repository, matter, trials, records)
        except VoidError as void:
            return says.decision(
                matter.change, matter.candidate, matter.suite, obstacle=OBSTACLE_VOID, reason=str(void)
            )


async def _check_base_runs(
    repository: Repository, matter: Matter, checkouts: Checkouts, settings: GateSettings, sandbox: Sandbox
) -> None:
    """One run without a model: where not even the base runs, as in a CI without its packages, none is tried.

    Raises:
        UserError: it does not run.
        OutageError: the run did not happen.
    """
    entry = next(iter(matter.priors.values()), None)
    if entry is None:
        return
    base = matter.candidate.head
    terms, tree = await agentfile_at(repository, base), await checkouts.at(base)
    spec = await spec_of(entry, base, terms, tree, settings)
    spec = replace(spec, model_key="", model_calls=0)
    try:
        ran = await run_trial(spec, sandbox)
    except TrialNotRunError as error:
        raise OutageError(f"the base cannot be run: {error}") from error
    if ran.silent:
        raise UserError(does_not_run(base, ran))


async def _decide(
    repository: Repository, matter: Matter, trials: Trials, records: Records
) -> DecisionReached:
    now = datetime.now(UTC)
    # Another machine, or a cache that was lost, has no trials of what the ledger knows.
    series = await unspent(repository, records, series_of(matter.heard), ref=ledger.CHECKS)
    hearing = Hearing(
        repository,
        trials,
        matter.bench(series),
        base_fingerprints=matter.base_fingerprints,
        when=now,
        ledger_known="",
        ledger_ref=ledger.CHECKS,
    )
    heard = await hearing.hear(matter.case(Past(), series))
    if heard.ships:
        freed = await ledger.releasing(repository, series, when=now, ref=ledger.CHECKS)
        await repository.push_atomic([freed])
    said = says.verdict(matter, heard)
    if heard.ships and heard.broken:
        titles = "; ".join(f'"{matter.entries[each.eval_id].eval.title}"' for each in heard.broken)
        said.reason = f"of what the base fails too nothing was asked: {titles}"
    return said


async def _matter(repository: Repository, base: str, head: str, settings: GateSettings) -> Matter:
    if not await repository.is_ancestor(base, head):
        raise UserError(
            f"{head[:12]} does not contain {base[:12]}: merge or rebase; what is judged is what is released"
        )
    suite = await suite_in(repository)
    terms = await agentfile_at(repository, head)
    # What an eval depends on is the base's to say, also for a person: it would spare the very trials of it.
    terms = terms.model_copy(update={"depends": (await agentfile_at(repository, base)).depends})
    tree = await repository.tree_of(head)
    sha256 = terms_sha256(settings)
    decision = decision_id(base, tree, suite.commit, sha256)
    return await matter_of(
        repository,
        ChangeProposed(change_id=head, agent=terms.agent),
        Candidate(decision, base, tree, "", terms),
        suite,
        None,
        terms=sha256,
    )
