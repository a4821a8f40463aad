import pytest
from hypothesis import given
from hypothesis import strategies as st

from outerloop.runtime.globs import matches


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("prompts/**", "prompts/policy.md"),
        ("prompts/**", "prompts/deep/er/policy.md"),
        ("tools/*.yaml", "tools/get_order.yaml"),
        ("tools/*.yaml", "tools/.yaml"),
        ("**", "a"),
        ("**", "a/b/c"),
        ("**/*.md", "README.md"),
        ("**/*.md", "a/b/README.md"),
        ("src/**/prompt.md", "src/prompt.md"),
        ("src/**/prompt.md", "src/a/b/prompt.md"),
        ("a*b*c", "aXbYbc"),
        ("a**c", "abc"),
        ("f[1]?.md", "f[1]?.md"),
        ("outerloop.yaml", "outerloop.yaml"),
    ],
)
def test_a_glob_stands_for(glob: str, path: str) -> None:
    assert matches(path, [glob])


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("prompts/**", "prompts"),
        ("prompts/**", "prompts2/policy.md"),
        ("prompts/**", "other/prompts/policy.md"),
        ("prompts", "prompts/policy.md"),
        ("tools/*.yaml", "tools/deep/get_order.yaml"),
        ("tools/*.yaml", "tools/get_order.yaml\n"),
        ("tools/*.yaml", "tools/get_order.yml"),
        ("*.md", "docs/README.md"),
        ("a**c", "ab/c"),
        ("f?.md", "f1.md"),
        ("f[12].md", "f1.md"),
        ("Prompts/**", "prompts/policy.md"),
        ("prompts/", "prompts/policy.md"),
        # cyrillic o
        ("prompts/**", "pr\u043empts/policy.md"),
    ],
)
def test_a_glob_does_not_stand_for(glob: str, path: str) -> None:
    assert not matches(path, [glob])


@pytest.mark.parametrize("path", ["", "/etc/passwd", "prompts/../ci.yml", "./a", "a//b", "a/", "..", "a/./b"])
def test_a_path_that_is_not_plain_matches_nothing(path: str) -> None:
    assert not matches(path, ["**", "*", "prompts/**", path])


def test_any_one_of_the_globs_is_enough_and_none_matches_nothing() -> None:
    assert matches("b", ["a", "b"])
    assert not matches("a", [])


def test_many_stars_do_not_explode() -> None:
    assert not matches("a/" * 60 + "b", ["**/" * 30 + "x"])


SEGMENT = st.text(st.characters(exclude_characters="/*"), min_size=1, max_size=5).filter(
    lambda segment: segment not in {".", ".."}
)


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_a_plain_path_is_a_glob_for_itself_and_lies_below_each_of_its_folders(segments: list[str]) -> None:
    path = "/".join(segments)
    assert matches(path, [path])
    for depth in range(1, len(segments)):
        assert matches(path, ["/".join(segments[:depth]) + "/**"])
