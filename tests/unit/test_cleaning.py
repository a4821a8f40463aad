"""What the settings of redaction mean."""

from pathlib import Path

import pytest

import samples
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import load

TOKEN = "gh" + "p_" + "a1" * 18
TEXT = f"{TOKEN} ada@example.org EMP-123456"


def cleaned(cleaner: Cleaner) -> str:
    payload = samples.request(samples.span(1, 0, TEXT)).SerializeToString()
    return cleaner.traces(payload).decode("latin-1")


def test_credentials_go_by_default_and_nothing_else() -> None:
    found = cleaned(Cleaner(IngestSettings()))
    assert TOKEN not in found
    assert "ada@example.org EMP-123456" in found


def test_a_team_says_what_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("patterns: {badge: 'EMP-\\d{6}'}\nnames: [x-tenant]\n")
    monkeypatch.setenv("OUTERLOOP_REDACT", "emails")
    monkeypatch.setenv("OUTERLOOP_REDACT_RULES", str(rules))
    found = cleaned(Cleaner(load(IngestSettings)))
    assert TOKEN in found
    assert "[email:" in found
    assert "[badge:" in found
    monkeypatch.setenv("OUTERLOOP_REDACT", "none")
    monkeypatch.delenv("OUTERLOOP_REDACT_RULES")
    assert TEXT in cleaned(Cleaner(load(IngestSettings)))


def test_what_is_no_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("passwords", "none,cards", ""):
        monkeypatch.setenv("OUTERLOOP_REDACT", wrong)
        with pytest.raises(UserError, match=r"^OUTERLOOP_REDACT: .*must be none, or some of cards"):
            load(IngestSettings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("patterns: {badge: '('}", "pattern badge: missing"),
        ("patterns: [a]", "patterns must be a mapping"),
        ("names: {a: b}", "names must be a list"),
        ("pattern: {}", "must have patterns and names"),
        ("{", "is not YAML"),
    ],
)
def test_rules_that_are_none_are_refused_by_file(tmp_path: Path, text: str, says: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    with pytest.raises(UserError, match=rf"^OUTERLOOP_REDACT_RULES \(.*rules.yaml\): .*{says}"):
        Cleaner(IngestSettings(redact_rules=rules))
