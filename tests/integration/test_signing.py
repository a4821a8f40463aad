"""Signed commits, by a key of ssh-keygen and checked by git."""

import shutil
import subprocess

import pytest

from engines.repositories import AGENT, TEAM, WHEN, agent_repository
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import SigningKey

SETTING = "OUTERLOOP_GATE_SIGNING_KEY"
pytestmark = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="there is no ssh-keygen: install openssh-client"
)


def keygen(folder, *flags):
    folder.mkdir(exist_ok=True)
    path = folder / "key"
    if "-N" not in flags:
        flags = ("-N", "", *flags)
    subprocess.run(["ssh-keygen", "-q", "-f", str(path), *flags], check=True)
    return SigningKey(path, SETTING)


def verified(repository, commit, allowed):
    told = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}")
    return subprocess.run(
        ["git", *told, "verify-commit", commit],
        cwd=repository.directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("flags", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048")], ids=["ed25519", "rsa"])
async def test_a_signed_commit_verifies_and_is_the_same_each_time(flags, tmp_path):
    repository, head = await agent_repository(tmp_path, AGENT)
    key = keygen(tmp_path, *flags)
    public = await key.check()
    tree = await repository.tree_of(head)
    made = [
        await repository.commit(tree, [head], "Work\n", when=WHEN, author=TEAM, key=each)
        for each in (key, key, None)
    ]
    assert made[0] == made[1] != made[2]
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{TEAM.email} {public}\n")
    good = verified(repository, made[0], allowed)
    assert (good.returncode, f'Good "git" signature for {TEAM.email}' in good.stderr) == (0, True)
    assert verified(repository, made[2], allowed).returncode
    other = await keygen(tmp_path / "other", "-t", "ed25519").check()
    allowed.write_text(f"{TEAM.email} {other}\n")
    assert verified(repository, made[0], allowed).returncode


async def refused(folder, key):
    repository, head = await agent_repository(folder, AGENT)
    tree = await repository.tree_of(head)
    with pytest.raises(UserError, match=SETTING):
        await repository.commit(tree, [head], "Work", when=WHEN, author=TEAM, key=key)
    with pytest.raises(UserError, match=SETTING) as caught:
        await key.check()
    return str(caught.value)


async def test_a_key_that_does_not_sign_is_refused_by_its_setting(tmp_path):
    missing = SigningKey(tmp_path / "nowhere", SETTING)
    assert "No such file" in await refused(tmp_path / "1", missing)
    (tmp_path / "text").write_text("no key\n")
    (tmp_path / "text").chmod(0o600)
    assert "text" in await refused(tmp_path / "2", SigningKey(tmp_path / "text", SETTING))


async def test_a_key_that_others_may_read_is_refused(tmp_path):
    key = keygen(tmp_path, "-t", "ed25519")
    key.path.chmod(0o644)
    assert "permissions" in (await refused(tmp_path / "agent", key)).lower()


async def test_a_key_with_a_passphrase_is_refused_and_asks_nobody(tmp_path):
    key = keygen(tmp_path, "-t", "ed25519", "-N", "secret")
    assert "passphrase" in await refused(tmp_path / "agent", key)


async def test_a_key_whose_signatures_differ_is_refused(tmp_path):
    key = keygen(tmp_path, "-t", "ecdsa")
    with pytest.raises(UserError, match="differ each time: make one of Ed25519"):
        await key.check()


async def test_without_ssh_keygen_the_package_is_named(tmp_path, monkeypatch):
    key = keygen(tmp_path, "-t", "ed25519")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="install openssh-client"):
        await key.check()
