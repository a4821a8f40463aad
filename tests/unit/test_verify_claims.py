"""A certificate held against what was certified before it: each figure is edited, and each edit is found."""

import math
import re
from dataclasses import replace

import pytest

from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Broken, Certificate, Inherited, Reproduced, Spending
from outerloop.gate.core.claim import Bet, bets, blind_bet
from outerloop.gate.core.drift import strata
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.spending import Reserved, alpha_of
from outerloop.gate.core.standing import Standing, after
from outerloop.gate.verify.before import Before, Held
from outerloop.gate.verify.claims import wrong_with

PRIORS = [f"e{number}" for number in range(6)]
STANDING = Standing(bar=0.725, anchor=0.97, passed=60, trials=61, fingerprint="f", proven_by="d0")
BEFORE = Before(
    suite_commit="5" * 40,
    suite_sha256="6" * 64,
    evals={name: Held(content_sha256=name, bar=0.75, margin=0.25) for name in (*PRIORS, "kept", "lost")},
    standings=dict.fromkeys((*PRIORS, "kept", "lost"), STANDING),
    previous="7" * 64,
)
NEW = Held(content_sha256="new", bar=0.75, margin=0.25)
RESERVED = Reserved("d1", 3)
ALPHA = alpha_of(3)


def proven(kind: Kind, name: str, bet: Bet) -> Shown:
    """A claim that just reaches its level."""
    trials = math.ceil(math.log(1 / ALPHA) / math.log(bet.p1 / bet.bar))
    return Shown(
        kind=kind,
        name=name,
        content_sha256="" if kind is Kind.DRIFT else name,
        bar=bet.bar,
        p1=bet.p1,
        g=bet.g,
        passed=trials,
        trials=trials,
    )


(PRIOR,) = bets([(STANDING.bar, STANDING.passed, STANDING.trials)])
(SOLID,) = strata([STANDING.anchor] * len(PRIORS))
CLAIMS = (
    proven(Kind.NEW, "new", blind_bet(0.75)),
    *(proven(Kind.PRIOR, name, PRIOR) for name in PRIORS),
    proven(Kind.DRIFT, "solid", SOLID.bet),
)
SPENDING = Spending(content="d1", term=0, index=3, delta=0.05, alpha=ALPHA, beta=0.02, ledger_commit="9" * 40)
CHANGE = Certificate(
    kind="change",
    decision_id="d1",
    agent="helpdesk",
    mode_id="m1",
    eval_id="new",
    change_id="c1",
    base_commit="a" * 40,
    patch_sha256="b" * 64,
    candidate_tree="c" * 40,
    suite_commit=BEFORE.suite_commit,
    suite_sha256=BEFORE.suite_sha256,
    spending=SPENDING,
    screen=(3, 4),
    claims=CLAIMS,
    inherited=(Inherited(eval_id="kept", content_sha256="kept", fingerprint="f", decision_id="d0"),),
    broken=(Broken(eval_id="lost", content_sha256="lost", passed=0, trials=20),),
    reproduced=Reproduced(commit="a" * 40, passed=0, trials=8),
    reverts="",
    reason="",
    standings=after(
        BEFORE.standings,
        claims=CLAIMS,
        new_eval_margin=0.25,
        fingerprints=dict.fromkeys(PRIORS, "g"),
        decision_id="d1",
    ),
    sandbox="bubblewrap",
    models=(),
    proposed_by="",
    input_tokens=0,
    output_tokens=0,
    seconds=0.0,
    gate_version="1",
    previous=BEFORE.previous,
)
ROLLBACK = replace(
    CHANGE,
    kind="rollback",
    spending=None,
    claims=(),
    inherited=(),
    broken=(),
    reproduced=None,
    reverts="a" * 40,
    standings=BEFORE.standings,
)


def claim(at, **edits):
    """The change with one claim edited; where its standing depends on the claim, so is the standing."""
    claims = (*CLAIMS[:at], replace(CLAIMS[at], **edits), *CLAIMS[at + 1 :])
    return restood(claims=claims)


def restood(**edits):
    edited = replace(CHANGE, **edits)
    prints = {name: standing.fingerprint for name, standing in CHANGE.standings.items()}
    known = [each for each in edited.claims if each.kind is not Kind.PRIOR or each.name in BEFORE.standings]
    standings = after(
        BEFORE.standings, claims=known, new_eval_margin=0.25, fingerprints=prints, decision_id="d1"
    )
    return replace(edited, standings=standings)


def spending(**edits):
    return replace(CHANGE, spending=replace(SPENDING, **edits))


def standing(name, **edits):
    return replace(CHANGE, standings={**CHANGE.standings, name: replace(CHANGE.standings[name], **edits)})


def test_variants_that_were_held_out_owe_a_claim():
    held = replace(NEW, variants=2)
    owed = "it has 0 claims on held-out variants, of which its new eval has 2"
    assert wrong_with(CHANGE, BEFORE, held, RESERVED) == [owed]
    proof = restood(claims=(*CLAIMS, proven(Kind.HELD_OUT, "new", blind_bet(0.65))))
    assert wrong_with(proof, BEFORE, held, RESERVED) == []


def test_what_the_gate_certified_is_found_to_be_right():
    assert wrong_with(CHANGE, BEFORE, NEW, RESERVED) == []
    assert wrong_with(ROLLBACK, BEFORE, BEFORE.evals["e0"], None) == []


TRIALS = CLAIMS[1].trials
EDITS = {
    "another suite": (replace(CHANGE, suite_commit="f" * 40), "its suite_commit is ffff"),
    "other evals": (replace(CHANGE, suite_sha256="f" * 64), "its suite_sha256 is ffff"),
    "another chain": (replace(CHANGE, previous=""), "its previous is none, and was 7777"),
    "an eval left out": (restood(claims=(*CLAIMS[:3], *CLAIMS[4:])), "it says nothing of eval e2"),
    "an eval of no suite": (claim(3, name="e9"), "it speaks of e9, which was not to be proven"),
    "an eval twice": (restood(claims=(*CLAIMS, CLAIMS[1])), "it speaks of eval e0 2 times"),
    "another eval's content": (claim(1, content_sha256="x"), "another content of eval e0"),
    "another content inherited": (
        replace(CHANGE, inherited=(replace(CHANGE.inherited[0], content_sha256="x"),)),
        "another content of eval kept",
    ),
    "nothing inherited": (replace(CHANGE, inherited=()), "it says nothing of eval kept"),
    "the new eval not claimed": (restood(claims=CLAIMS[1:]), "it does not claim its new eval new once"),
    "the new eval by another content": (claim(0, content_sha256="x"), "does not claim its new eval new once"),
    "a lower bar for the new eval": (claim(0, bar=0.5), "its new claim on new has bar 0.5, and 0.75"),
    "a lower bar for a prior one": (claim(2, bar=0.5), "its prior claim on e1 has bar 0.5, and 0.725"),
    "a bet placed afterwards": (claim(2, p1=0.999), "its prior claim on e1 has p1 0.999"),
    "a lower floor": (claim(7, bar=0.5), "its drift claim on solid has bar 0.5"),
    "no claim on drift": (restood(claims=CLAIMS[:-1]), r"on drift are of \[\], and not of \['solid'\]"),
    "a lax held-out bar": (
        restood(claims=(*CLAIMS, proven(Kind.HELD_OUT, "new", blind_bet(0.5)))),
        "its held_out claim on new has bar 0.5, and 0.65 was fixed before",
    ),
    "a held-out claim on no variants": (
        restood(claims=(*CLAIMS, proven(Kind.HELD_OUT, "new", blind_bet(0.65)))),
        "it has 1 claims on held-out variants, of which its new eval has 0",
    ),
    "a held-out claim of another eval": (
        restood(claims=(*CLAIMS, proven(Kind.HELD_OUT, "e0", blind_bet(0.65)))),
        "its held_out claim is on e0",
    ),
    "a trial too few": (
        claim(1, passed=TRIALS - 1, trials=TRIALS - 1),
        r"prior claim on e0 is not proven: \d+ of \d+ have an e-value of \d+\.\d+, and 449\.\d is needed",
    ),
    "a failure hidden": (claim(1, passed=TRIALS - 1), "its prior claim on e0 is not proven"),
    "drift not proven": (claim(7, trials=CLAIMS[7].trials + 5), "its drift claim on solid is not proven"),
    "more passes than trials": (claim(7, passed=999), "its drift claim on solid is none: 999 of"),
    "no error spent": (replace(CHANGE, spending=None), "it says of no error that was spent"),
    "a greater error": (spending(delta=0.5, alpha=alpha_of(3, 0.5)), "index 3 of 0.5, which cannot be"),
    "a laxer level": (spending(alpha=0.05), "its level 0.05 is not that of index 3"),
    "a smaller index": (spending(index=1, alpha=alpha_of(1)), "has not reserved index 1 for it"),
    "another term": (spending(term=1), "has not reserved index 3 for it"),
    "no index at all": (spending(index=0), "its error is index 0 of 0.05, which cannot be"),
    "the error of another decision": (spending(content="d2"), "spent on d2, not on what was heard"),
    "a screen that was failed": (replace(CHANGE, screen=(2, 4)), "its screen has 2 of 4"),
    "nothing that was broken": (replace(CHANGE, reproduced=None), "not proven to fail eval new"),
    "a base that passes": (
        replace(CHANGE, reproduced=Reproduced(commit="a" * 40, passed=5, trials=8)),
        "not proven to fail eval new",
    ),
    "an eval called broken": (
        replace(CHANGE, broken=(replace(CHANGE.broken[0], passed=14),)),
        "not proven to fail eval lost",
    ),
    "a fingerprint made up": (
        replace(CHANGE, inherited=(replace(CHANGE.inherited[0], fingerprint="x"),)),
        "eval kept is not inherited from what proved it last",
    ),
    "another's proof": (
        replace(CHANGE, inherited=(replace(CHANGE.inherited[0], decision_id="x"),)),
        "eval kept is not inherited from what proved it last",
    ),
    "a bar lowered": (standing("kept", bar=0.7), "the bar of eval kept is lowered from 0.725 to 0.7"),
    "a bar raised by hand": (standing("kept", bar=0.8), "the standing of eval kept does not follow"),
    "an anchor lowered": (standing("e0", anchor=0.9), "the standing of eval e0 does not follow"),
    "a history improved": (standing("e0", passed=1), "the standing of eval e0 does not follow"),
    "a new eval that is let go": (standing("new", bar=0.3), "the bar of its new eval is 0.3, and 0.7"),
    "a standing left out": (
        replace(CHANGE, standings={k: v for k, v in CHANGE.standings.items() if k != "kept"}),
        "the standing of eval kept does not follow",
    ),
    "a rollback that claims": (replace(ROLLBACK, claims=CLAIMS[:1]), "a rollback claims nothing"),
    "a rollback that spends": (replace(ROLLBACK, spending=CHANGE.spending), "a rollback claims nothing"),
    "a rollback that lowers": (
        replace(ROLLBACK, standings={**BEFORE.standings, "e0": replace(STANDING, bar=0.3)}),
        "a rollback leaves every bar as it is",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_each_edit_is_found(edit):
    certificate, sentence = EDITS[edit]
    assert re.search(sentence, "\n".join(wrong_with(certificate, BEFORE, NEW, RESERVED)))


def test_what_was_not_tried_for_long_is_not_inherited():
    tired = replace(STANDING, carried=20)
    before = replace(BEFORE, standings={**BEFORE.standings, "kept": tired})
    assert "eval kept is inherited, and has had no trial for 20 releases" in wrong_with(
        CHANGE, before, NEW, RESERVED
    )


def test_an_index_that_the_ledger_does_not_know_is_none():
    assert wrong_with(CHANGE, BEFORE, NEW, None) == [
        "the ledger that it names has not reserved index 3 for it"
    ]


def test_an_eval_that_the_suite_does_not_have_is_said():
    assert wrong_with(CHANGE, BEFORE, None, RESERVED) == ["the suite does not have eval new, which it closes"]


def reclosed(bar):
    """The eval that stood at .875, and asks .75, closed again by a claim on this bar; and what was before."""
    before = replace(BEFORE, standings={**BEFORE.standings, "new": replace(STANDING, bar=0.875)})
    claims = (proven(Kind.NEW, "new", blind_bet(bar)), *CLAIMS[1:])
    prints = {name: standing.fingerprint for name, standing in CHANGE.standings.items()}
    standings = after(
        before.standings, claims=claims, new_eval_margin=0.25, fingerprints=prints, decision_id="d1"
    )
    return replace(CHANGE, claims=claims, standings=standings), before


def test_what_is_closed_again_is_proven_at_the_bar_that_it_stood_at():
    change, before = reclosed(0.875)
    assert wrong_with(change, before, NEW, RESERVED) == []
    lower, before = reclosed(0.75)
    assert "its new claim on new has bar 0.75, and 0.875 was fixed before" in wrong_with(
        lower, before, NEW, RESERVED
    )


def test_what_is_closed_again_was_broken_by_that_bar():
    """6 of 20 prove that the base is below .675, and not that it is below .55."""
    shown = Reproduced(commit="a" * 40, passed=6, trials=20)
    change, before = reclosed(0.875)
    assert wrong_with(replace(change, reproduced=shown), before, NEW, RESERVED) == []
    assert "the base is not proven to fail eval new" in wrong_with(
        replace(CHANGE, reproduced=shown), BEFORE, NEW, RESERVED
    )
