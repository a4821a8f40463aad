"""Which forge has a repository, by the forms of address that git takes."""

import pytest
from pydantic import SecretStr

from outerloop.gate.forge.address import Place, forge_of, place_of
from outerloop.gate.settings import GateSettings
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import UserError

HUB, LAB = "https://api.github.com", "https://gitlab.com/api/v4"


@pytest.mark.parametrize(
    ("url", "settings", "place"),
    [
        ("https://github.com/team/agent.git", {}, Place("github", HUB, "team/agent")),
        ("https://GitHub.com/team/agent/", {}, Place("github", HUB, "team/agent")),
        ("https://x-access-token:s3cret@github.com/team/agent", {}, Place("github", HUB, "team/agent")),
        ("git@github.com:team/agent.git", {}, Place("github", HUB, "team/agent")),
        ("github.com:team/agent", {}, Place("github", HUB, "team/agent")),
        ("ssh://git@github.com/team/agent.git", {}, Place("github", HUB, "team/agent")),
        ("ssh://git@ssh.github.com:443/team/agent.git", {}, Place("github", HUB, "team/agent")),
        ("https://acme.ghe.com/team/agent", {}, Place("github", "https://api.acme.ghe.com", "team/agent")),
        ("https://gitlab.com/a/b/c/agent.git", {}, Place("gitlab", LAB, "a/b/c/agent")),
        (
            "git@github.com:team/agent",
            {"kind": "gitlab", "api": "https://x"},
            Place("github", HUB, "team/agent"),
        ),
        ("git@gitlab.com:a/b/agent.git", {}, Place("gitlab", LAB, "a/b/agent")),
        (
            "ssh://git@git.example.com:2222/team/agent.git",
            {"kind": "github"},
            Place("github", "https://git.example.com/api/v3", "team/agent"),
        ),
        (
            "http://git.example.com:8080/team/agent.git",
            {"kind": "gitlab"},
            Place("gitlab", "http://git.example.com:8080/api/v4", "team/agent"),
        ),
        (
            "https://example.com/git/team/agent.git",
            {"kind": "gitlab", "api": "https://example.com/git/api/v4/"},
            Place("gitlab", "https://example.com/git/api/v4", "team/agent"),
        ),
        (
            "git@ssh.example.com:team/agent.git",
            {"kind": "gitlab", "api": "https://example.com/git/api/v4"},
            Place("gitlab", "https://example.com/git/api/v4", "team/agent"),
        ),
    ],
)
def test_the_address_tells_the_forge(url: str, settings: dict[str, str], place: Place) -> None:
    assert place_of(url, **settings) == place


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        (
            "/srv/agent.git",
            {},
            "OUTERLOOP_GATE_FORGE to github or gitlab, or the agent's `release.mode` to push",
        ),
        (
            "https://user:s3cret@git.example.com/team/agent",
            {},
            "git.example.com may be GitHub, GitLab or neither",
        ),
        ("/srv/team/agent.git", {"kind": "github"}, "OUTERLOOP_GATE_FORGE_URL"),
        ("https://github.com/agent", {}, "is not OWNER/NAME"),
        ("https://github.com/a/b/c", {}, "is not OWNER/NAME"),
        ("https://gitlab.com/a/../b", {}, "is not GROUP/NAME"),
        ("https://gitlab.com/a/b?x=%2e%2e", {}, None),
        (
            "https://git.example.com/a/b",
            {"kind": "gitlab", "api": "https://me:s3cret@git.example.com/api/v4"},
            "OUTERLOOP_GATE_FORGE_URL must not hold a password",
        ),
    ],
)
def test_what_cannot_be_told_is_asked_for_by_setting(
    url: str, settings: dict[str, str], words: str | None
) -> None:
    if words is None:
        assert place_of(url, **settings).project == "a/b"
        return
    with pytest.raises(UserError) as caught:
        place_of(url, **settings)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_without_a_token_the_setting_is_named() -> None:
    with pytest.raises(
        UserError, match=r"OUTERLOOP_GATE_FORGE_TOKEN to a token for https://api\.github\.com"
    ):
        forge_of(GateSettings(), "git@github.com:team/agent")
    for odd in (" \n", "two words", "s\u00e9cret"):
        with pytest.raises(UserError, match="OUTERLOOP_GATE_FORGE_TOKEN"):
            forge_of(GateSettings(gate_forge_token=SecretStr(odd)), "git@github.com:team/agent")
    settings = GateSettings(gate_forge_token=SecretStr("s3cret"))
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(vars(forge_of(settings, "git@github.com:team/agent")))


def test_an_agent_may_ask_for_pull_requests() -> None:
    said = "agent: a\nrun: [x]\nmutable: [p/**]\nrelease: {branch: main, mode: %s}\n"
    assert AgentFile.parse(said % "pull_request").release.mode == "pull_request"
    with pytest.raises(UserError, match="mode"):
        AgentFile.parse(said % "merge")
