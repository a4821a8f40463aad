"""Fingerprint: all that an eval's pass rate can depend on, in one hash.

If it is the same for a change as for a release whose certificate has a claim on the eval, that claim holds of
the change too: no trial is made and no error is spent. An eval depends on every file of the tree, unless its
owner declares otherwise in `outerloop.yaml` of the base:

    depends:
      0b6c2f9e-*: [prompts/refund.md, tools/refund.yaml]      # globs of eval ids: globs of paths
      77d01c3a-*: [prompts/shipping.md]

A file is left out of an eval's fingerprint only if the declaration says so twice: the eval is declared
without it, and another eval is declared with it. So what no one thought of (a new file, a library,
`outerloop.yaml` itself) counts for every eval, and an eval that no one thought of depends on everything. A
link stands for itself: what it leads to is to be declared too.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from outerloop.runtime.agentfile import NAME, AgentFile
from outerloop.runtime.git.model import TreeEntry
from outerloop.runtime.globs import matches

_FORMAT = 1
# So often an eval is carried without a trial; then it is tried again, whatever its fingerprint says: a model
# that changes under its name changes no file.
MOST_CARRIED = 20


def fingerprint(
    eval_id: str, content_sha256: str, files: Iterable[TreeEntry], agentfile: AgentFile, court: str
) -> str:
    """The fingerprint, in hex, of an eval with this content on a tree of `files`.

    `agentfile` is that of the base commit, never of the candidate: its run command, models and declarations
    count whole. `court` names all of a trial that lies outside the tree: the environment's lock, the sandbox,
    and the version of grader and judge.
    """
    counts = [(f.path, f.mode, f.sha) for f in files if depends(eval_id, f.path, agentfile)]
    # Which settings propose may try changes no run.
    terms = agentfile.model_dump(mode="json", exclude={"knobs"})
    whole = [_FORMAT, eval_id, content_sha256, sorted(counts), terms, court]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def heard(suite_commit: str, candidate: Mapping[str, str], base: Mapping[str, str]) -> str:
    """A hash over all that the claims on a change can depend on: the fingerprints, by eval id, at both.

    `suite_commit` fixes bars and bets. The base answers for itself, and its tool sandbox for the candidate.
    """
    whole = [_FORMAT, suite_commit, sorted(candidate.items()), sorted(base.items())]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def depends(eval_id: str, path: str, agentfile: AgentFile) -> bool:
    """Whether the eval may depend on the file at `path`, going by what is declared."""
    own = _declared(eval_id, agentfile)
    if not own or path == NAME:
        return True
    return _any(path, own) or not _any(path, agentfile.depends.values())


def touches(eval_id: str, changed: Iterable[str], agentfile: AgentFile) -> bool:
    """Whether one of the `changed` paths is declared to be this eval's: it is likelier to break."""
    own = _declared(eval_id, agentfile)
    return any(_any(path, own) for path in changed)


def _any(path: str, declarations: Iterable[Sequence[str]]) -> bool:
    return any(matches(path, globs) for globs in declarations)


def _declared(eval_id: str, agentfile: AgentFile) -> list[Sequence[str]]:
    return [paths for evals, paths in agentfile.depends.items() if matches(eval_id, [evals])]
