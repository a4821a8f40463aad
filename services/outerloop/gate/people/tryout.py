"""Tryout: an eval run at a commit of one's own repository, to see what it does; it decides nothing."""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from outerloop.evals import suite as suites
from outerloop.evals.suite import Entry
from outerloop.gate.people.clone import commit_in, mirror_of, suite_in
from outerloop.runtime.agentfile import agentfile_at
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.runtime.settings import ModelSettings
from outerloop.trial.backend import sandbox_of
from outerloop.trial.committed import spec_of
from outerloop.trial.run import Trial, TrialSpec, fresh_nonce, model_session, run_trial

# So many trials in a row that did not happen are an outage of what they need.
LOST_IN_A_ROW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the trials of an eval at a commit showed; `reasons` with how many trials had each.

    Of the `calls` of tools, the recording did not hold `diverged`. `grader` is the version of what graded.
    """

    commit: str
    eval_id: str
    content_sha256: str
    trials: int
    passed: int
    reasons: dict[str, int]
    calls: int
    diverged: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    grader: int

    @property
    def fidelity(self) -> float:
        """The share of the tool calls that were answered from the recording."""
        return 1 - self.diverged / self.calls if self.calls else 1.0


async def in_suite(clone: Path, beginning: str) -> Entry | None:
    """The eval of the clone's suite whose id begins so; None if there is none, or no suite.

    Raises:
        UserError: if there are several.
    """
    with tempfile.TemporaryDirectory(prefix="tryout-", ignore_cleanup_errors=True) as scratch:
        repository, _ = await mirror_of(clone, Path(scratch) / "mirror")
        if await repository.resolve(suites.BRANCH) is None:
            return None
        suite = await suite_in(repository)
    found = [entry for entry in suite.entries if entry.eval.id.startswith(beginning)]
    if len(found) > 1:
        raise UserError(f"{beginning} is the beginning of {len(found)} evals: give more of the id")
    return found[0] if found else None


async def tryout(
    clone: Path,
    name: str,
    entry: Entry,
    settings: ModelSettings,
    *,
    trials: int,
    tell: Callable[[int, Trial], None],
) -> Tried:
    """Run the eval so often at the commit that `name` names in the clone; `tell` hears of every trial.

    Raises:
        UserError: if the clone does not hold what is asked for.
        OutageError: when trials do not happen.
    """
    with tempfile.TemporaryDirectory(prefix="tryout-", ignore_cleanup_errors=True) as scratch:
        repository, _ = await mirror_of(clone, Path(scratch) / "mirror")
        commit = await commit_in(clone, name)
        terms = await agentfile_at(repository, commit)
        tree = Path(scratch) / "tree"
        await repository.checkout(commit, tree)
        spec = await spec_of(entry, commit, terms, tree, settings)
        ran = await _ran(spec, settings, trials, tell)
    return _tried(commit, entry, ran)


async def _ran(
    spec: TrialSpec, settings: ModelSettings, trials: int, tell: Callable[[int, Trial], None]
) -> list[Trial]:
    sandbox, ran, lost = sandbox_of(settings), list[Trial](), 0
    async with model_session() as session:
        while len(ran) < trials:
            try:
                ran.append(await run_trial(replace(spec, nonce=fresh_nonce()), sandbox, session))
            except TrialNotRunError as error:
                lost += 1
                if lost >= LOST_IN_A_ROW:
                    raise OutageError(f"trials of {spec.eval.id} do not happen: {error}") from error
                continue
            lost = 0
            tell(len(ran), ran[-1])
    return ran


def _tried(commit: str, entry: Entry, ran: list[Trial]) -> Tried:
    return Tried(
        commit=commit,
        eval_id=entry.eval.id,
        content_sha256=entry.content_sha256,
        trials=len(ran),
        passed=sum(trial.passed for trial in ran),
        reasons=dict(
            Counter(reason for trial in ran for reason in dict.fromkeys(trial.reasons)).most_common()
        ),
        calls=sum(trial.tool_calls for trial in ran),
        diverged=sum(len(trial.divergences) for trial in ran),
        model_calls=sum(trial.model_calls for trial in ran),
        input_tokens=sum(trial.input_tokens for trial in ran),
        output_tokens=sum(trial.output_tokens for trial in ran),
        seconds=round(sum(trial.seconds for trial in ran), 3),
        grader=ran[0].grader,
    )
