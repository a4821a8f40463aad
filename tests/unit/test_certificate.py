import hashlib
import json
import math
from dataclasses import replace

import pytest

from outerloop.gate.core.bars import frozen_bar, shown_rate
from outerloop.gate.core.case import Evidence, Kind
from outerloop.gate.core.certificate import (
    Broken,
    Certificate,
    Inherited,
    Reproduced,
    Spending,
    sha256,
)
from outerloop.gate.core.claim import Claim, blind_bet, thresholds
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import Standing, after
from outerloop.runtime.errors import UserError

NEW = Shown(
    kind=Kind.NEW, name="e2", content_sha256="e" * 64, bar=0.75, p1=0.95, g=0.85, passed=30, trials=30
)
PRIOR = replace(NEW, kind=Kind.PRIOR, name="e1", bar=0.7, passed=19, trials=20)
DRIFT = replace(NEW, kind=Kind.DRIFT, name="solid", content_sha256="")
E1 = Standing(bar=0.7, anchor=0.95, passed=40, trials=41)
CERTIFICATE = Certificate(
    kind="change",
    decision_id="d1",
    agent="helpdesk",
    mode_id="m1",
    eval_id="e2",
    change_id="c1",
    base_commit="a" * 40,
    patch_sha256="b" * 64,
    candidate_tree="c" * 40,
    suite_commit="",
    suite_sha256="d" * 64,
    spending=Spending(
        content="f" * 64, term=0, index=1, delta=0.05, alpha=0.0067, beta=0.02, ledger_commit="1" * 40
    ),
    screen=(3, 4),
    claims=(NEW, PRIOR, DRIFT),
    inherited=(Inherited(eval_id="e3", content_sha256="3" * 64, fingerprint="f", decision_id="d0"),),
    broken=(Broken(eval_id="e4", content_sha256="4" * 64, passed=1, trials=50),),
    reproduced=Reproduced(commit="a" * 40, passed=0, trials=8),
    reverts="",
    reason="",
    standings={"e1": E1, "e2": Standing(bar=0.725, anchor=0.98, passed=30, trials=30)},
    sandbox="bubblewrap",
    models=("claude-sonnet-5-5",),
    proposed_by="größe",
    input_tokens=1200,
    output_tokens=80,
    seconds=3.25,
    gate_version="0.1.0",
    previous="",
)
ROLLBACK = replace(
    CERTIFICATE,
    kind="rollback",
    spending=None,
    reproduced=None,
    claims=(),
    inherited=(),
    broken=(),
    reverts="a" * 40,
    reason="errors rose from 1 % to 9 %",
    seconds=0,
)


@pytest.mark.parametrize("certificate", [CERTIFICATE, ROLLBACK], ids=["change", "rollback"])
def test_it_comes_back_as_it_was(certificate):
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_the_bytes_are_canonical():
    text = CERTIFICATE.to_json()
    document = json.loads(text)
    assert list(document) == sorted(document)
    assert (
        text
        == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )
    assert sha256(text) == hashlib.sha256(text).hexdigest()
    turned = replace(CERTIFICATE, standings=dict(sorted(CERTIFICATE.standings.items(), reverse=True)))
    assert turned.to_json() == text
    assert replace(CERTIFICATE, seconds=3).to_json() == replace(CERTIFICATE, seconds=3.0).to_json()


def test_any_other_meaning_has_another_hash():
    other = replace(CERTIFICATE, claims=(replace(NEW, passed=29), PRIOR, DRIFT))
    assert sha256(other.to_json()) != sha256(CERTIFICATE.to_json())


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace(b'"agent"', b'"agents"'),
        lambda text: text.replace(b'"claims":[', b'"claims": ['),
        lambda text: text.replace(b'"seconds":3.25', b'"seconds":"3.25"'),
        lambda text: text.replace(b'"kind":"change"', b'"kind":"gift"'),
        lambda text: text.replace(b'"kind":"prior"', b'"kind":"pious"'),
        lambda text: text.replace(b'"bar":0.7,', b'"bar":0.70,'),
        lambda text: text.replace(b"}\n", b',"note":"x"}\n'),
        lambda text: text.replace(b'"format":2', b'"format":1'),
        lambda text: b"[]",
        lambda text: b"",
        lambda text: b"\xff",
    ],
)
def test_edited_bytes_are_no_certificate(edited):
    content = edited(CERTIFICATE.to_json())
    assert content != CERTIFICATE.to_json()
    with pytest.raises(UserError, match=r"certificates/d1\.json"):
        Certificate.from_json(content, "certificates/d1.json")


def test_another_format_is_said_to_be_one():
    with pytest.raises(UserError, match="format 1 is not what this version reads"):
        Certificate.from_json(b'{"evidence":[],"format":1}')


def test_what_is_shown_has_the_e_value_of_the_claim_it_was():
    claim = Claim(blind_bet(0.75), thresholds(0.0067, 1, 0.02))
    for passed in [True] * 12 + [False] + [True] * 9:
        claim.count(passed, not passed)
    shown = Shown.of(Evidence.of(Kind.NEW, "e2", claim), "e" * 64)
    assert shown.up == claim.up > 0
    assert (shown.passed, shown.trials, shown.bar) == (21, 22, 0.75)


@pytest.mark.parametrize("wrong", [{"passed": 31}, {"passed": -1}, {"p1": 0.75}, {"p1": 1.0}, {"bar": 0.0}])
def test_what_cannot_be_has_no_e_value(wrong):
    with pytest.raises(ValueError, match=r"passed|bets"):
        _ = replace(NEW, **wrong).up


def test_a_new_eval_is_closed_and_a_prior_one_learns():
    old = replace(E1, fingerprint="old", proven_by="d0")
    standings = after(
        {"e1": old, "e3": old},
        claims=CERTIFICATE.claims,
        new_eval_margin=0.25,
        fingerprints={"e2": "f2", "e3": "f3"},
        decision_id="d1",
    )
    rate, bar = shown_rate(30, 30), frozen_bar(30, 30)
    assert standings == {
        "e1": replace(E1, passed=40 + 19, trials=41 + 20, proven_by="d1"),
        "e2": Standing(bar=bar, anchor=rate, passed=30, trials=30, fingerprint="f2", proven_by="d1"),
        "e3": replace(old, carried=1),
    }


@pytest.mark.parametrize(("old", "lowered"), [(0.9, True), (0.5, False)])
def test_an_eval_that_is_closed_again_keeps_the_higher_bar(old, lowered):
    before = Standing(bar=old, anchor=old, passed=9, trials=10)
    now = after({"e2": before}, claims=[NEW], new_eval_margin=0.25)["e2"]
    assert now.bar == (old if lowered else frozen_bar(30, 30))
    assert now.anchor == shown_rate(30, 30) > old
    assert (now.passed, now.trials) == (30, 30)


def test_no_margin_takes_a_bar_out_of_bounds():
    wide = after({}, claims=[NEW], new_eval_margin=0.4)["e2"]
    narrow = after({}, claims=[NEW], new_eval_margin=0.1)["e2"]
    assert 0.3 <= wide.bar < narrow.bar <= 0.95
    assert math.isclose(narrow.bar - wide.bar, 0.3)


def test_an_eval_that_nobody_closed_is_not_carried_on():
    with pytest.raises(KeyError):
        after({}, claims=[PRIOR], new_eval_margin=0.25)
