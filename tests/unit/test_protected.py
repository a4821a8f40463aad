"""Which paths are the judge's, by the one rule that propose and gate share."""

import pytest

from outerloop.runtime.agentfile import is_protected

JUDGES = [
    "outerloop.yaml",
    "OuterLoop.YAML",
    "agents/helpdesk/outerloop.yaml",
    "outerloop.yaml. ",
    "outer\u200dloop.yaml",
    "\uff4futerloop.yaml",
    ".gitattributes",
    "prompts/.gitignore",
    ".GitModules",
    ".git/config",
    "git~1/config",
    ".github/workflows/ci.yml",
    ".gitlab-ci.yml",
    ".gitlab/ci/build.yml",
    ".ci/build.sh",
    ".circleci/config.yml",
    ".CircleCI./config.yml",
    ".buildkite/pipeline.yml",
    ".travis.yml",
    "Jenkinsfile",
    "deploy/JENKINSFILE",
    "\uff2aenkinsfile",
    "azure-pipelines.yml",
]
AGENTS = [
    "prompts/policy.md",
    "tools/get_order.yaml",
    "prompts/git.md",
    "prompts/outerloop.yaml.md",
    "prompts/Jenkinsfile.md",
    "ci/notes.md",
    "travis.yml",
]


@pytest.mark.parametrize("path", JUDGES, ids=ascii)
def test_the_judges(path: str) -> None:
    assert is_protected(path)


@pytest.mark.parametrize("path", AGENTS)
def test_the_agents(path: str) -> None:
    assert not is_protected(path)
