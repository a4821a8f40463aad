"""Matter: one change with what it is judged by: the eval that it is to close, the suite it must not break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.evals.suite import Entry, Suite
from outerloop.gate.core.case import Case, NewEval
from outerloop.gate.core.certificate import Certificate, Inherited
from outerloop.gate.core.fingerprint import MOST_CARRIED, fingerprint, heard, touches
from outerloop.gate.core.order import prior_evals
from outerloop.gate.core.standing import Standing, bar_to_close
from outerloop.gate.court.candidate import Candidate
from outerloop.gate.court.rows import Past
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository, TreeEntry


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What is judged.

    `new` is None for a change that closes no failure, as a person's. `base_tree` is the head's, with
    `base_files`; `files` are all of the candidate, `changed` the paths that it changes, `terms` a hash over
    what lies outside the tree.
    """

    change: ChangeProposed
    candidate: Candidate
    suite: Suite
    new: Entry | None
    base_tree: str
    base_files: Sequence[TreeEntry]
    files: Sequence[TreeEntry]
    changed: tuple[str, ...]
    terms: str

    @cached_property
    def priors(self) -> dict[str, Entry]:
        """The earlier evals, by id; one that is to be closed again is not among them."""
        new = self.new.eval.id if self.new else ""
        return {entry.eval.id: entry for entry in self.suite.priors(new)}

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """All evals that the change is judged by, by id."""
        return self.priors | ({self.new.eval.id: self.new} if self.new else {})

    @cached_property
    def contents(self) -> dict[str, str]:
        """The SHA-256 of the content of each of them."""
        return {eval_id: entry.content_sha256 for eval_id, entry in self.entries.items()}

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What each of them depends on at the candidate."""
        return self._fingerprints(self.files)

    @cached_property
    def base_fingerprints(self) -> dict[str, str]:
        """What each of them depends on at the base."""
        return self._fingerprints(self.base_files)

    @property
    def heard(self) -> str:
        """A hash over all that the claims can depend on."""
        return heard(self.suite.commit, self.fingerprints, self.base_fingerprints)

    @cached_property
    def last(self) -> Certificate | None:
        """The certificate before this change; None for the first.

        Raises:
            UserError: if it is not what the gate wrote.
        """
        content = self.suite.last
        return None if content is None else Certificate.from_json(content, "the suite's last certificate")

    @cached_property
    def standings(self) -> Mapping[str, Standing]:
        """What every eval of the suite must keep, by its id.

        Raises:
            UserError: if the last certificate does not know one.
        """
        standings = self.last.standings if self.last else {}
        if lost := self.priors.keys() - standings.keys():
            raise UserError(
                f"the suite's last certificate knows no bar of eval {min(lost)}: restore the suite's branch"
            )
        return standings

    @cached_property
    def inherited(self) -> tuple[Inherited, ...]:
        """The earlier evals that the change cannot affect: all they depend on is as it was when proven."""
        return tuple(
            Inherited(
                eval_id=eval_id,
                content_sha256=self.contents[eval_id],
                fingerprint=standing.fingerprint,
                decision_id=standing.proven_by,
            )
            for eval_id in self.priors
            if (standing := self.standings[eval_id]).fingerprint == self.fingerprints[eval_id]
            and standing.carried < MOST_CARRIED
        )

    def case(self, past: Past, series: str) -> Case:
        """The claims on the change; which variant a trial draws follows from the series."""
        held = {inherited.eval_id for inherited in self.inherited}
        return Case(
            new=self._to_close(self.new) if self.new else None,
            priors=prior_evals(
                {eval_id: self.standings[eval_id] for eval_id in self.priors if eval_id not in held},
                blocks=past.blocks,
                decisions=past.decisions,
                touched=[e for e in self.priors if touches(e, self.changed, self.candidate.agentfile)],
            ),
            seed=series,
        )

    def bench(self, series: str) -> Bench:
        """What the candidate's trials share: they count for `series`."""
        candidate = self.candidate
        return Bench(
            series=series,
            subject=Subject.CANDIDATE,
            agentfile=candidate.agentfile,
            tree=candidate.tree,
            base_commit=candidate.head,
            base_tree=self.base_tree,
            suite_commit=self.suite.commit,
            change_id=self.change.change_id,
            entries=self.entries,
            contents=self.contents,
        )

    def _fingerprints(self, files: Sequence[TreeEntry]) -> dict[str, str]:
        agentfile = self.candidate.agentfile
        return {
            eval_id: fingerprint(eval_id, content, files, agentfile, self.terms)
            for eval_id, content in self.contents.items()
        }

    def _to_close(self, new: Entry) -> NewEval:
        """One that was closed before, and reopened, is closed again at the bar that it has stood at since."""
        bar = bar_to_close(new.eval.bar, self.standings.get(new.eval.id))
        return NewEval(eval_id=new.eval.id, bar=bar, variants=len(new.held_out))


async def matter_of(
    repository: Repository,
    change: ChangeProposed,
    candidate: Candidate,
    suite: Suite,
    new: Entry | None,
    *,
    terms: str,
) -> Matter:
    """The matter. `terms` is a hash over what lies outside the tree."""
    changed = await repository.changed(candidate.head, candidate.tree)
    base_tree = await repository.tree_of(candidate.head)
    return Matter(
        change=change,
        candidate=candidate,
        suite=suite,
        new=new,
        base_tree=base_tree,
        base_files=await repository.files(base_tree),
        files=await repository.files(candidate.tree),
        changed=tuple(entry.path for entry in changed),
        terms=terms,
    )
