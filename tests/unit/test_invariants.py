import pytest

from outerloop.runtime.agentfile import AgentFile, is_protected
from outerloop.runtime.git.model import TreeChange
from outerloop.runtime.invariants import violations

BASE = AgentFile(agent="helpdesk", run=("python",), mutable=("prompts/**", "tools/*.yaml"))
ANYTHING = AgentFile(agent="helpdesk", run=("python",), mutable=("**",))
PATHS = ["outerloop.yaml", "prompts/policy.md", "tools/refund.yaml"]


def change(path="prompts/policy.md", **fields):
    known = {
        "status": "M",
        "old_mode": "100644",
        "new_mode": "100644",
        "binary": False,
        "added_lines": 1,
        "removed_lines": 1,
        "new_size": 10,
    }
    return TreeChange(path=path, **{**known, **fields})


def added(path, **fields):
    return change(path, **{"status": "A", "old_mode": "000000", "removed_lines": 0, **fields})


def found(*changes, base=BASE, paths=()):
    return violations(changes, base, [*PATHS, *paths, *(each.path for each in changes)])


def test_changes_within_the_rules_are_allowed():
    removed = change("tools/refund.yaml", status="D", new_mode="000000", added_lines=0, new_size=0)
    assert found(change(), added("prompts/deep/er.md"), removed) == []


def test_no_change_at_all_is_a_violation():
    assert found() == ["it changes nothing"]


@pytest.mark.parametrize(
    "path", ["main.py", "prompts", "tools/deep/x.yaml", "tools/x.yml", "Prompts/policy.md"]
)
def test_only_mutable_paths_may_change(path):
    assert any("is not in `mutable`" in each for each in found(change(path)))


@pytest.mark.parametrize(
    "path",
    [
        "outerloop.yaml",
        "OUTERLOOP.YAML",
        "outerl\uff4fop.yaml",
        "outer\u200bloop.yaml",
        "outerloop.yaml.",
        ".github/workflows/ci.yml",
        ".GitHub/workflows/ci.yml",
        ".gitattributes",
        ".gitlab-ci.yml",
        "prompts/.gitattributes",
        "prompts/.git/hooks/post-checkout",
        "prompts/GIT~1/config",
        "\uff0egit/config",
    ],
)
def test_what_belongs_to_the_judge_is_never_open_even_if_mutable_says_so(path):
    assert is_protected(path)
    assert any("never open to change" in each for each in found(added(path), base=ANYTHING))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"status": "T", "new_mode": "120000"}, "is a symlink"),
        ({"status": "A", "old_mode": "000000", "new_mode": "120000"}, "is a symlink"),
        ({"status": "D", "old_mode": "120000", "new_mode": "000000"}, "is a symlink"),
        ({"status": "A", "old_mode": "000000", "new_mode": "160000"}, "is a submodule"),
        ({"new_mode": "100755"}, "changes its mode"),
        ({"status": "A", "old_mode": "000000", "new_mode": "100755"}, "is added with mode 100755"),
        ({"binary": True}, "is binary"),
        ({"new_size": 256 * 1024 + 1}, "262144 are allowed"),
        ({"added_lines": 400}, "401 lines"),
    ],
)
def test_a_change_of_another_kind_than_text_is_refused(fields, sentence):
    assert any(sentence in each for each in found(change(**fields)))


def test_the_limits_themselves_are_allowed():
    assert found(change(new_size=256 * 1024, added_lines=399)) == []
    assert found(*(added(f"prompts/{n}.md") for n in range(20))) == []
    assert any("21 files" in each for each in found(*(added(f"prompts/{n}.md") for n in range(21))))


@pytest.mark.parametrize(
    "path",
    [
        "prompts/Policy.md",  # case
        "prompts/POLICY.md",
        "prompts/polic\uff59.md",  # a wide y
        "prompts/p\u043elicy.md",  # a Cyrillic o
        "prompts/policy\u200b.md",  # an invisible space
        "prompts/policy.md ",
        "prompts/policy.md.",
        "prompts/\udcff.md",  # not UTF-8
        "prompts/e\u0301.md",  # not composed
        "prompts/a\\b.md",
        "prompts/a\nb.md",
    ],
)
def test_a_name_that_passes_for_another_is_refused(path):
    assert len(found(added(path))) >= 1


def test_a_folder_that_passes_for_another_is_refused():
    assert found(added("prompts/A/x.md"), added("prompts/a/y.md"))
    assert found(added("prompts/Deep/x.md"), paths=["prompts/deep/y.md"])


def test_names_in_other_scripts_are_names():
    assert found(added("prompts/правила.md"), added("prompts/größe.md"), added("prompts/規則.md")) == []


def test_a_file_may_get_another_spelling_if_the_old_one_goes():
    old = change(status="D", new_mode="000000")
    assert violations([old, added("prompts/Policy.md")], BASE, ["prompts/Policy.md"]) == []
