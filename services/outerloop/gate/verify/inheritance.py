"""Inheritance: whether what an eval depends on is as it was when it was proven, by the trees themselves.

A fingerprint also covers what lies outside of the tree, which git does not know: that part is taken on trust.
"""

from collections.abc import Iterator, Mapping, Sequence

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.fingerprint import depends
from outerloop.runtime.agentfile import AgentFile, agentfile_at
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import GitError, Repository


async def wrong_with(
    repository: Repository, certificate: Certificate, earlier: Mapping[str, Certificate]
) -> list[str]:
    """What a certificate inherits and may not; `earlier` are those before it, by decision."""
    found: list[str] = []
    for decision_id in sorted({each.decision_id for each in certificate.inherited}):
        evals = [each.eval_id for each in certificate.inherited if each.decision_id == decision_id]
        if decision_id not in earlier:
            found += [f"eval {name} is inherited from {decision_id}, which no one reached" for name in evals]
            continue
        try:
            terms = await agentfile_at(repository, certificate.base_commit)
            then = await agentfile_at(repository, earlier[decision_id].base_commit)
            tree = earlier[decision_id].candidate_tree
            changes = await repository.changed(tree, certificate.candidate_tree)
        except (GitError, UserError) as error:
            found += [f"what eval {name} inherits cannot be compared: {error}" for name in evals]
            continue
        if terms != then:
            found.append(f"evals are inherited from {decision_id}, which had another outerloop.yaml")
        found += _touched(evals, [change.path for change in changes], terms)
    return found


def _touched(evals: Sequence[str], paths: Sequence[str], terms: AgentFile) -> Iterator[str]:
    for name in evals:
        if path := next((path for path in paths if depends(name, path, terms)), None):
            yield f"eval {name} is inherited, and {path!r}, on which it depends, is not what it was"
