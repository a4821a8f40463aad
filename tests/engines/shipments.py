"""Shipped changes with honest certificates, made without a trial: the counts are such as just prove them."""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from engines.repositories import WHEN
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.evals.suite import Entry
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate, Inherited, Reproduced, Spending
from outerloop.gate.core.claim import Bet, bets, blind_bet
from outerloop.gate.core.drift import strata
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import after
from outerloop.gate.court.series import series_of
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import ship, whole_suite
from outerloop.runtime.git import Repository


def entry(eval_id: str) -> Entry:
    """A small eval of the helpdesk."""
    drafted_at = datetime(2026, 1, 1, tzinfo=UTC)
    provenance = Provenance(drafted_by="draft", drafted_at=drafted_at, source_traces=("t",))
    eval_ = Eval(
        id=eval_id,
        agent="helpdesk",
        mode_id="m1",
        title="It answers",
        input={},
        expect=(Answered(),),
        provenance=provenance,
    )
    return Entry(eval_, Cassette())


def proven(kind: Kind, name: str, content: str, bet: Bet, alpha: float) -> Shown:
    """A claim that just reaches its level."""
    trials = math.ceil(math.log(1 / alpha) / math.log(bet.p1 / bet.bar))
    counts = {"passed": trials, "trials": trials}
    return Shown(kind=kind, name=name, content_sha256=content, bar=bet.bar, p1=bet.p1, g=bet.g, **counts)


async def certified(
    repository: Repository, change_id: str, new: Entry, tree: str, inherits: Collection[str]
) -> Certificate:
    """The certificate of a change to `tree` that closes `new`, with its index reserved."""
    suite, head = await whole_suite(repository), await repository.resolve("main")
    assert head is not None
    decision_id = f"decision-of-{change_id}"
    heard = hashlib.sha256(decision_id.encode()).hexdigest()
    reserved = await ledger.reserve(repository, series_of(heard), when=WHEN)
    before = Certificate.from_json(suite.last).standings if suite.last else {}
    contents = {e.eval.id: content_sha256(e.eval, e.cassette) for e in (*suite.entries, new)}
    binding = {name: standing for name, standing in before.items() if name in contents}
    placed = bets([(s.bar, s.passed, s.trials) for s in binding.values()])
    claims = (
        proven(Kind.NEW, new.eval.id, contents[new.eval.id], blind_bet(new.eval.bar), reserved.alpha),
        *(
            proven(Kind.PRIOR, name, contents[name], bet, reserved.alpha)
            for name, bet in zip(binding, placed, strict=True)
            if name not in inherits
        ),
        *(
            proven(Kind.DRIFT, stratum.name, "", stratum.bet, reserved.alpha)
            for stratum in strata([s.anchor for name, s in binding.items() if name not in inherits])
        ),
    )
    return Certificate(
        kind="change",
        decision_id=decision_id,
        agent="helpdesk",
        mode_id="m1",
        eval_id=new.eval.id,
        change_id=change_id,
        base_commit=head,
        patch_sha256="0" * 64,
        candidate_tree=tree,
        suite_commit=suite.commit,
        suite_sha256=suite.sha256,
        spending=Spending(
            content=reserved.content,
            term=reserved.term,
            index=reserved.index,
            delta=reserved.delta,
            alpha=reserved.alpha,
            beta=0.02,
            ledger_commit=reserved.commit,
        ),
        screen=(3, 3),
        claims=claims,
        inherited=tuple(
            Inherited(
                eval_id=name,
                content_sha256=contents[name],
                fingerprint=before[name].fingerprint,
                decision_id=before[name].proven_by,
            )
            for name in inherits
        ),
        broken=(),
        reproduced=Reproduced(commit=head, passed=0, trials=8),
        reverts="",
        reason="",
        standings=after(
            before,
            claims=claims,
            new_eval_margin=new.eval.margin,
            fingerprints=dict.fromkeys(contents, "f"),
            decision_id=decision_id,
        ),
        sandbox="bubblewrap",
        models=("scripted",),
        proposed_by="scripted",
        input_tokens=1,
        output_tokens=1,
        seconds=1.5,
        gate_version="1",
        previous=suite.last_certificate,
        heard=heard,
    )


async def shipped(
    repository: Repository,
    change_id: str,
    eval_id: str,
    files: Mapping[str, bytes],
    *,
    edit: Callable[[Certificate], Certificate] = lambda certificate: certificate,
    inherits: Collection[str] = (),
) -> str:
    """The commit of a change to these files, shipped with a certificate that `edit` has been over.

    Of the earlier evals it `inherits` these, and proves the others.
    """
    head = await repository.resolve("main")
    new, tree = entry(eval_id), await repository.tree_with(head, files)
    certificate = await certified(repository, change_id, new, tree, inherits)
    done = await ship(
        repository,
        branch="main",
        certificate=edit(certificate),
        suite=await whole_suite(repository),
        entry=new,
        diagnosis=f"Mend {eval_id}",
        when=WHEN,
    )
    return done.commit
