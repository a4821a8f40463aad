"""Certificates are inherited only if nothing that an eval can depend on has changed."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outerloop.gate.core.fingerprint import depends, fingerprint, touches
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import UserError
from outerloop.runtime.git.model import EXECUTABLE, PLAIN, TreeEntry

PATHS = [
    "outerloop.yaml",
    "README.md",
    "prompts/a.md",
    "prompts/b.md",
    "tools/a.yaml",
    "src/main.py",
    "lib/x",
]
GLOBS = ["prompts/**", "prompts/a.md", "prompts/b.md", "tools/*.yaml", "src/**", "**", "outerloop.yaml"]
EVALS = ["e1", "e2", "e*", "other", "none"]
DECLARED = st.dictionaries(
    st.sampled_from(EVALS), st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3), max_size=4
)


def agent(depends=None, **change):
    document = {"agent": "a", "run": ["python"], "mutable": ["**"], "depends": depends or {}}
    return AgentFile.model_validate(document | change)


def tree(paths=PATHS):
    return [TreeEntry(PLAIN, f"{i:040x}", 1, path) for i, path in enumerate(paths)]


def of(files, agentfile, eval_id="e1", content="c", court="court"):
    return fingerprint(eval_id, content, files, agentfile, court)


@settings(deadline=None)
@given(DECLARED, st.sampled_from(PATHS), st.sampled_from(["sha", "mode", "gone", "new"]))
def test_what_is_not_excluded_changes_the_fingerprint(declared, path, how):
    """Excluded, written down anew: the eval is declared without the file, and another one is with it."""
    agentfile, files = agent(declared), tree()
    own = [globs for evals, globs in declared.items() if evals in {"e1", "e*"}]
    named = {glob for globs in declared.values() for glob in globs}
    covers = lambda globs: any(_covers(glob, path) for glob in globs)  # noqa: E731
    excluded = own and not any(covers(globs) for globs in own) and covers(named) and path != "outerloop.yaml"
    changed = [_changed(entry, how) if entry.path == path else entry for entry in files]
    if how == "gone":
        changed = [entry for entry in changed if entry.path != path]
    elif how == "new":
        changed = files
        files = [entry for entry in files if entry.path != path]
    assert (of(files, agentfile) == of(changed, agentfile)) == bool(excluded)


def _covers(glob, path):
    return glob in {"**", path} or path.startswith(glob.removesuffix("**")) or (glob, path) == TOOLS


TOOLS = ("tools/*.yaml", "tools/a.yaml")


def _changed(entry, how):
    return replace(entry, mode=EXECUTABLE) if how == "mode" else replace(entry, sha="f" * 40)


@given(st.sampled_from(PATHS), st.sampled_from(PATHS))
def test_by_default_everything_depends_on_everything(path, other):
    assume(path != other)
    moved = [replace(entry, path="moved") if entry.path == path else entry for entry in tree()]
    assert of(tree(), agent()) != of(moved, agent())
    assert all(depends("e1", each, agent()) for each in PATHS)
    declared = agent({"e2": [path]})
    assert all(depends("e1", each, declared) for each in PATHS)  # not declared itself
    assert depends("e2", other, declared)  # declared by nobody


def test_the_example():
    declared = agent(
        {"refund-*": ["prompts/a.md", "tools/**"], "shipping-*": ["prompts/b.md", "tools/a.yaml"]}
    )
    yes = lambda eval_id: [path for path in PATHS if depends(eval_id, path, declared)]  # noqa: E731
    common = {"outerloop.yaml", "README.md", "src/main.py", "lib/x", "tools/a.yaml"}
    assert set(yes("refund-1")) == common | {"prompts/a.md"}
    assert set(yes("shipping-1")) == common | {"prompts/b.md"}
    assert set(yes("another")) == set(PATHS)
    assert depends("refund-1", "prompts/c.md", declared)  # new, and thought of by nobody
    assert touches("refund-1", ["README.md", "tools/x"], declared)
    assert not touches("shipping-1", ["README.md", "tools/x"], declared)
    assert not touches("another", PATHS, declared)


def test_everything_outside_the_tree_counts():
    base = agent({"e1": ["src/**"]})
    others = [
        of(tree(), base, eval_id="e2"),
        of(tree(), base, content="another"),
        of(tree(), base, court="another lock"),
        of(tree(), agent({"e1": ["src/**"]}, run=["python", "-O"])),
        of(tree(), agent({"e1": ["src/**"]}, models={"anthropic": "another"})),
        of(tree(), agent({"e1": ["src/**", "lib/**"]})),
        of(tree(), agent()),
    ]
    assert len({of(tree(), base), *others}) == len(others) + 1
    assert of(list(reversed(tree())), base) == of(tree(), base)


@pytest.mark.parametrize("globs", [["/etc/**"], ["../x"], []])
def test_a_wrong_declaration_names_the_field(globs):
    with pytest.raises(UserError, match=r"outerloop.yaml:4: depends.e1"):
        AgentFile.parse(f"agent: a\nrun: [x]\nmutable: [p]\ndepends: {{e1: {globs}}}\n")
