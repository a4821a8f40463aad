import os
from pathlib import Path

import pytest

from outerloop.propose import workspace as limits
from outerloop.propose.paths import RefusedError
from outerloop.propose.workspace import Workspace

POLICY = "# Policy\n\nBe kind.\nBe brief.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Workspace:
    root = tmp_path / "tree"
    for path, text in {
        "prompts/policy.md": POLICY,
        "tools/get_order.yaml": "name: get_order\n",
        "agent.py": "print('kind')\n",
        "outerloop.yaml": "agent: helpdesk\n",
        ".git/config": "[core]\n",
        ".github/ci.yml": "on: push\n",
        "sub/.GIT/hooks/pre-commit": "#!/bin/sh\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (tmp_path / "secret.md").write_text("kind secret\n")
    (root / "prompts/link.md").symlink_to(tmp_path / "secret.md")
    (root / "prompts/inside.md").symlink_to("policy.md")
    (root / "out").symlink_to(tmp_path)
    (root / "prompts/latin.md").write_bytes(b"caf\xe9\n")
    os.mkfifo(root / "prompts/pipe.md")
    return Workspace(
        root, ["prompts/**", "tools/*.yaml", "outerloop.*", ".github/**", "out/**", ".git/**", "**/hooks/*"]
    )


OUT_OF_REACH = [
    "",
    "/etc/passwd",
    "~/.ssh/id_rsa",
    "../secret.md",
    "prompts/../../secret.md",
    "prompts/../agent.py",
    "./agent.py",
    "prompts//policy.md",
    "prompts/",
    "prompts",
    "prompts\\policy.md",
    "prompts/link.md",
    "prompts/inside.md",
    "out/secret.md",
    "prompts/pipe.md",
    "prompts/policy.md\0",
    "prompts/policy.md\n",
    ".git/config",
    ".GIT/config",
    "sub/.GIT/hooks/pre-commit",
    ".g\u200dit/config",
    "\uff0egit/config",
    "prompts/poli\uff43y.md",  # a full-width c
    "pr\u043empts/policy.md",  # a cyrillic o
    "prompts/no\u0308.md",  # not composed
    "prompts/policy\u202e.md",
    "prompts/\ud800.md",
    "prompts/missing.md",
    "a" * 5_000,
]


@pytest.mark.parametrize("path", OUT_OF_REACH, ids=ascii)
def test_out_of_reach(tree: Workspace, path: str) -> None:
    with pytest.raises(RefusedError):
        tree.read_file(path)
    with pytest.raises(RefusedError):
        tree.edit_file(path, "kind", "mean")
    assert tree.changed == ()


@pytest.mark.parametrize("folder", ["..", "/etc", "out", ".git", "sub", "prompts/..", "nowhere"])
def test_no_folder_out_of_reach_is_listed_or_searched(tree: Workspace, folder: str) -> None:
    with pytest.raises(RefusedError):
        tree.list_files(folder)
    with pytest.raises(RefusedError):
        tree.search("kind", folder)


def test_the_list_has_what_can_be_read_and_says_what_may_change(tree: Workspace) -> None:
    assert tree.list_files() == (
        ".github/ci.yml (9 bytes)\n"
        "agent.py (14 bytes)\n"
        "outerloop.yaml (16 bytes)\n"
        "prompts/latin.md (5 bytes, may be changed)\n"
        "prompts/policy.md (29 bytes, may be changed)\n"
        "tools/get_order.yaml (16 bytes, may be changed)"
    )
    assert tree.list_files("tools/") == "tools/get_order.yaml (16 bytes, may be changed)"
    assert list(tree.mutable_files()) == ["prompts/latin.md", "prompts/policy.md", "tools/get_order.yaml"]


def test_a_long_list_is_cut_and_says_how_to_see_more(tree: Workspace) -> None:
    for n in range(limits.MAX_LISTED):
        (tree.root / f"tools/{n}.yaml").touch()
    assert tree.list_files().endswith("\n[6 more files; list_files with a folder shows fewer]")


def test_read_gives_the_text_as_it_is(tree: Workspace) -> None:
    assert tree.read_file("prompts/policy.md") == POLICY
    assert tree.read_file("prompts/policy.md", 3) == "Be kind.\nBe brief.\n"
    with pytest.raises(RefusedError, match="has 4 lines"):
        tree.read_file("prompts/policy.md", 5)


def test_a_long_file_comes_in_parts_that_make_it_up(tree: Workspace) -> None:
    text = "".join(f"line {n} {'x' * 80}\n" for n in range(1, 500))
    (tree.root / "agent.py").write_text(text)
    parts, start = [], 1
    while True:
        part = tree.read_file("agent.py", start)
        assert len(part) < limits.MAX_RESULT_CHARS + 200
        body, _, more = part.rpartition("[")
        if not more.endswith("goes on]"):
            parts.append(part)
            break
        parts.append(body)
        start = int(more.split("start_line ")[1].split()[0])
    assert len(parts) > 2
    assert "".join(parts) == text


def test_one_endless_line_is_cut(tree: Workspace) -> None:
    (tree.root / "agent.py").write_text("x" * 100_000)
    text = tree.read_file("agent.py")
    assert len(text) < limits.MAX_RESULT_CHARS + 200
    assert text.endswith("\n[line 1 has 100000 characters; search shows parts of it]")


@pytest.mark.parametrize("data", [b"caf\xe9", b"a\0b", b"x" * (limits.MAX_FILE_BYTES + 1)])
def test_what_is_not_text_or_too_large_is_not_read(tree: Workspace, data: bytes) -> None:
    (tree.root / "prompts/policy.md").write_bytes(data)
    with pytest.raises(RefusedError):
        tree.read_file("prompts/policy.md")


def test_search_is_literal_and_never_leaves_the_tree(tree: Workspace) -> None:
    assert tree.search("kind") == (
        "agent.py:1: print('kind')\n"
        "prompts/policy.md:3: Be kind.\n"
        "[1 files are not text or too large, and were not searched]"
    )
    assert tree.search("k.nd", "tools") == "no line holds it"
    assert tree.search("(get|_order", "tools") == "no line holds it"


def test_a_search_with_many_or_long_hits_is_cut(tree: Workspace) -> None:
    (tree.root / "tools/get_order.yaml").write_text(f"{'y' * 1_000}kind{'z' * 200}\n" * 200)
    (tree.root / "tools/other.yaml").write_text("kind\n")
    lines = tree.search("kind", "tools").splitlines()
    assert lines[-1] == f"[{201 - limits.MAX_HITS} more lines; a longer pattern or a folder shows fewer]"
    assert all("kind" in line and len(line) < limits.MAX_HIT_CHARS + 50 for line in lines[:-1])


def test_an_edit_replaces_the_one_occurrence_and_keeps_the_mode(tree: Workspace) -> None:
    path = tree.root / "prompts/policy.md"
    path.chmod(0o755)
    assert tree.edit_file("prompts/policy.md", "Be brief.\n", "Be exact.\nAsk.\n") == (
        "edited prompts/policy.md: line 4"
    )
    assert path.read_text() == "# Policy\n\nBe kind.\nBe exact.\nAsk.\n"
    assert path.stat().st_mode & 0o777 == 0o755
    assert tree.changed == ("prompts/policy.md",)


def test_an_edit_that_is_taken_back_is_no_change(tree: Workspace) -> None:
    tree.edit_file("prompts/policy.md", "kind", "mean and much longer")
    tree.edit_file("prompts/policy.md", "mean and much longer", "kind")
    assert (tree.root / "prompts/policy.md").read_text() == POLICY
    assert tree.changed == ()


@pytest.mark.parametrize(
    ("path", "old", "new", "why"),
    [
        ("agent.py", "kind", "mean", "may not be changed"),
        ("outerloop.yaml", "helpdesk", "other", "may not be changed"),
        (".github/ci.yml", "on: push", "on: never", "may not be changed"),
        ("prompts/policy.md", "Be ", "Do ", "occurs 2 times"),
        ("prompts/policy.md", "be kind", "x", "does not occur"),
        ("prompts/policy.md", "", "x", "does not occur"),
        ("prompts/policy.md", "kind", "kind", "the same"),
        ("prompts/policy.md", "kind", "\ud800", "not text"),
        ("prompts/policy.md", "kind", "a\0b", "would not be text"),
        ("prompts/policy.md", "kind", "x" * limits.MAX_FILE_BYTES, "would not be text"),
    ],
)
def test_refused_edits_change_nothing(tree: Workspace, path: str, old: str, new: str, why: str) -> None:
    before = (tree.root / path).read_bytes()
    with pytest.raises(RefusedError, match=why):
        tree.edit_file(path, old, new)
    assert (tree.root / path).read_bytes() == before


def test_a_file_that_becomes_a_symlink_is_not_followed(tree: Workspace, tmp_path: Path) -> None:
    tree.edit_file("prompts/policy.md", "kind", "calm")
    (tree.root / "prompts/policy.md").unlink()
    (tree.root / "prompts/policy.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(RefusedError):
        tree.edit_file("prompts/policy.md", "kind", "mean")
    assert (tmp_path / "secret.md").read_text() == "kind secret\n"


@pytest.mark.parametrize("path", [".circleci/config.yml", "prompts/Jenkinsfile", "prompts/OUTERLOOP.yaml"])
def test_what_is_the_judges_may_be_read_and_not_changed(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("kind\n")
    tree = Workspace(tmp_path, ["**"])
    assert tree.read_file(path) == "kind\n"
    with pytest.raises(RefusedError, match="may not be changed"):
        tree.edit_file(path, "kind", "mean")


WINDOWS = "# Policy\r\n\r\nBe kind.\r\nBe brief.\r\n"


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        (
            "Be kind.\nBe brief.",
            "Be exact.\nBe brief.\nAsk.",
            "# Policy\r\n\r\nBe exact.\r\nBe brief.\r\nAsk.\r\n",
        ),
        ("Be kind.", "Be kind.\nAsk.", WINDOWS.replace("kind.", "kind.\r\nAsk.")),
        ("kind.\r\nBe", "kind.\r\nAsk.\r\nBe", WINDOWS.replace("kind.", "kind.\r\nAsk.")),
    ],
)
def test_a_file_with_the_line_ends_of_windows_keeps_them_and_can_be_edited_like_any(
    tree: Workspace, old: str, new: str, after: str
) -> None:
    path = tree.root / "prompts/policy.md"
    path.write_bytes(WINDOWS.encode())
    assert tree.edit_file("prompts/policy.md", old, new).startswith("edited prompts/policy.md: line ")
    assert path.read_bytes().decode() == after


def test_line_ends_that_are_mixed_are_edited_as_they_are(tree: Workspace) -> None:
    path = tree.root / "prompts/policy.md"
    path.write_bytes(b"Be kind.\r\nBe brief.\nAsk.\n")
    tree.edit_file("prompts/policy.md", "brief.\nAsk.", "brief.\nAsk twice.")
    assert path.read_bytes() == b"Be kind.\r\nBe brief.\nAsk twice.\n"
