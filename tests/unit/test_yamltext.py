"""YAML that people, other tools and attackers write."""

from pathlib import Path
from typing import Any

import pytest

from outerloop.cli import texts
from outerloop.cli.texts import text_of
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.contents import Edited, objections
from outerloop.runtime.errors import UserError
from outerloop.runtime.yamltext import MOST_CHARACTERS, loaded

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))

TERMS = AgentFile(agent="a", run=("python",), mutable=("**",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("when: 2024-05-20\nat: 2024-05-20T10:00:00Z", {"when": "2024-05-20", "at": "2024-05-20T10:00:00Z"}),
        ("a: &a [1]\nb: *a\nc: *a", {"a": [1], "b": [1], "c": [1]}),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
    ],
)
def test_what_is_read(text: str, value: Any) -> None:
    assert loaded(text, "x.yaml") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAUGHS, r"^x\.yaml:\d+: with its aliases written out it is too large$"),
        ("a: 1\nb: &b [1, *b]", r"^x\.yaml:2: an alias leads back to itself$"),
        ("a: 1\nb: 2\na: 3", r"^x\.yaml:3: 'a' stands here twice$"),
        ("a: !!binary aGVsbG8=", r"^x\.yaml:1: !!binary is nothing that JSON can say$"),
        ("a: !!set {x}", r"^x\.yaml:1: !!set is nothing that JSON can say$"),
        ("a: !!python/object/apply:os.system [id]", r"^x\.yaml:1:4 is not YAML: could not determine"),
        ("a: " + "[" * 3000 + "]" * 3000, r"^x\.yaml is nested too deep$"),
        ("a: " + "9" * 5000, r"^x\.yaml is not YAML: Exceeds the limit"),
        ("{a: [", r"^x\.yaml:1:6 is not YAML: "),
        ("a: 1\n---\nb: 2", r"^x\.yaml:2:1 is not YAML: "),
        ("? [a]\n: 1", r"^x\.yaml:1:3 is not YAML: found unhashable key"),
        ("x" * (MOST_CHARACTERS + 1), r"^x\.yaml is too long: 16,000,001 characters"),
    ],
)
def test_what_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        loaded(text, "x.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"\xef\xbb\xbfhello")
    bad.write_bytes(b"a\xff")
    assert text_of(good) == "hello"
    with pytest.raises(UserError, match="bad is not UTF-8: see its byte 1"):
        text_of(bad)
    for path in (tmp_path, tmp_path / "none", Path("\0")):
        with pytest.raises(UserError, match="cannot be read"):
            text_of(path)
    monkeypatch.setattr(texts, "MOST_BYTES", 3)
    for path in (good, Path("/dev/zero")):
        with pytest.raises(UserError, match="is too large: 3 bytes may be read of one"):
            text_of(path)


def test_what_a_change_writes_into_a_file_of_settings_is_no_bomb_for_who_looks_at_it() -> None:
    bomb = LAUGHS + "permissions: *a39\n"
    edited = Edited("settings.yaml", "", bomb)
    assert list(objections([edited], TERMS, ()))  # by its lines, then
