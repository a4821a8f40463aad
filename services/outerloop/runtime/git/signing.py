"""Signed commits: by an SSH key, so that no agent and no key ring is needed, only ssh-keygen.

`git verify-commit` checks them with `gpg.ssh.allowedSignersFile`, which must have the public key, under
whatever principal. The signature is part of the commit, so the same arguments make the same commit only with
a kind of key whose signatures repeat: Ed25519 and RSA, and neither ECDSA nor a hardware token.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outerloop.runtime.errors import UserError

_REPEATING = {"ssh-ed25519", "ssh-rsa"}
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key at `path`, which the variable `setting` names."""

    path: Path
    setting: str

    def environment(self) -> Mapping[str, str]:
        """What makes `git commit-tree -S` sign with it."""
        told = {"gpg.format": "ssh", "user.signingKey": str(self.path.absolute())}
        numbered = list(enumerate(told.items()))
        return {
            "GIT_CONFIG_COUNT": str(len(told)),
            **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in numbered},
            **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered},
        }

    def refusal(self, said: str) -> UserError:
        """What to say when git could not sign."""
        return UserError(
            f"{self.setting}: no commit can be signed with {self.path}: {said[-500:] or 'no reason'}"
        )

    async def check(self) -> str:
        """The public key, as a line of an allowed signers file wants it; once, at start.

        Raises:
            UserError: naming the setting, if the key cannot be used without a person, or would sign the same
                commit differently each time.
        """
        ended = await self._public()
        kind = ended.split(" ")[0]
        if kind not in _REPEATING:
            raise self.refusal(
                f"it is {kind or 'no key'}, whose signatures differ each time: make one of Ed25519"
            )
        return " ".join(ended.split()[:2])

    async def _public(self) -> str:
        arguments = ("ssh-keygen", "-y", "-P", "", "-f", str(self.path.absolute()))
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=_environment()
            )
        except FileNotFoundError as error:
            raise self.refusal("there is no ssh-keygen: install openssh-client") from error
        try:
            async with asyncio.timeout(_SECONDS):
                out, said = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise self.refusal(f"ssh-keygen did not end within {_SECONDS:g} s") from error
        if process.returncode:
            raise self.refusal(" ".join(said.decode(errors="replace").split()))
        return out.decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"LC_ALL": "C.UTF-8"}
