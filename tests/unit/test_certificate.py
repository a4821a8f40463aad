import hashlib
import json
from dataclasses import replace

import pytest

from outerloop.gate.core.certificate import Certificate, Evidence, sha256
from outerloop.runtime.errors import UserError

CERTIFICATE = Certificate(
    decision_id="d1",
    agent="helpdesk",
    mode_id="m1",
    eval_id="e1",
    change_id="c1",
    base_commit="a" * 40,
    patch_sha256="b" * 64,
    candidate_tree="c" * 40,
    suite_commit="",
    suite_sha256="d" * 64,
    evidence=(Evidence("e1", "e" * 64, 5, 4, 4, 4),),
    sandbox="bubblewrap",
    models=("claude-sonnet-5-5",),
    proposed_by="größe",
    input_tokens=1200,
    output_tokens=80,
    seconds=3.25,
    gate_version="0.1.0",
    previous="",
)


def test_it_comes_back_as_it_was():
    assert Certificate.from_json(CERTIFICATE.to_json()) == CERTIFICATE


def test_the_bytes_are_canonical():
    text = CERTIFICATE.to_json()
    document = json.loads(text)
    assert list(document) == sorted(document)
    assert (
        text
        == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )
    assert sha256(text) == hashlib.sha256(text).hexdigest()


def test_any_other_meaning_has_another_hash():
    other = replace(CERTIFICATE, evidence=(replace(CERTIFICATE.evidence[0], passed=3),))
    assert sha256(other.to_json()) != sha256(CERTIFICATE.to_json())


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace(b'"agent"', b'"agents"'),
        lambda text: text.replace(b'"evidence":[', b'"evidence": ['),
        lambda text: text.replace(b'"seconds":3.25', b'"seconds":"3.25"'),
        lambda text: text.replace(b"}\n", b',"note":"x"}\n'),
        lambda text: b"",
        lambda text: b"\xff",
    ],
)
def test_edited_bytes_are_no_certificate(edited):
    with pytest.raises(UserError, match=r"certificates/d1\.json"):
        Certificate.from_json(edited(CERTIFICATE.to_json()), "certificates/d1.json")
