"""Which forge has an agent's repository, and where its API is: from its address, and settings."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from outerloop.gate.forge.client import Client
from outerloop.gate.forge.github import GitHub
from outerloop.gate.forge.gitlab import GitLab
from outerloop.gate.forge.model import Forge
from outerloop.gate.settings import GateSettings
from outerloop.runtime.errors import UserError

_KINDS = {"github.com": "github", "gitlab.com": "gitlab"}
# Where SSH is served on the port of HTTPS.
_ALIASES = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
_VERSIONS = {"github": "/api/v3", "gitlab": "/api/v4"}
_SCP = re.compile(r"(?:[^@/:]+@)?([A-Za-z0-9][A-Za-z0-9.-]+):(?!//)(.+)")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Place:
    """`kind` is github or gitlab, `api` the address of its API, `project` OWNER/NAME or GROUP/…/NAME."""

    kind: str
    api: str
    project: str


def forge_of(settings: GateSettings, url: str) -> Forge:
    """The forge that has the repository at `url` (https, ssh or scp form).

    Raises:
        UserError: if no forge can be told from it, or there is no token.
    """
    place = place_of(url, kind=settings.gate_forge, api=settings.gate_forge_url)
    given = settings.gate_forge_token
    token = given.get_secret_value().strip() if given else ""  # a file's last newline is no part of it
    if not token or not re.fullmatch(r"[!-~]+", token):
        raise UserError(
            "an agent's `release.mode` is pull_request: set OUTERLOOP_GATE_FORGE_TOKEN "
            f"to a token for {place.api}"
        )
    client = Client(place.api, SecretStr(token))
    return GitHub(client, place.project) if place.kind == "github" else GitLab(client, place.project)


def place_of(url: str, *, kind: str = "", api: str = "") -> Place:
    """Where the pull requests of the repository at `url` are.

    `kind` and `api` are settings, "" if not set; they are about hosts that are not known.

    Raises:
        UserError: if that cannot be told.
    """
    origin, host, path = _parts(url)
    if known := _KINDS.get(host) or ("github" if host.endswith(".ghe.com") else ""):
        kind, api = known, ""
    if not kind:
        raise UserError(
            f"{host or 'a repository on this disk'} may be GitHub, GitLab or neither: "
            "set OUTERLOOP_GATE_FORGE to github or gitlab, or the agent's `release.mode` to push"
        )
    if not origin and not api:
        raise UserError("the agent's repository has no host: set OUTERLOOP_GATE_FORGE_URL")
    if "@" in urlsplit(api).netloc:
        raise UserError("OUTERLOOP_GATE_FORGE_URL must not hold a password: set OUTERLOOP_GATE_FORGE_TOKEN")
    where = api.rstrip("/") or _api(kind, origin, host)
    return Place(kind, where, _project(kind, path, where))


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme and host for the API ("" without a host), the host's name, and the path."""
    if "://" not in url:
        scp = _SCP.fullmatch(url)
        if not scp:
            return "", "", url
        host = scp[1].lower()
        host = _ALIASES.get(host, host)
        return f"https://{host}", host, scp[2]
    split = urlsplit(url)
    host = (split.hostname or "").lower()
    host = _ALIASES.get(host, host)
    if not host:
        return "", "", split.path
    if split.scheme in {"http", "https"}:
        # A port for HTTP is the API's too; one for SSH is not.
        return f"{split.scheme}://{host}{f':{split.port}' if split.port else ''}", host, split.path
    return f"https://{host}", host, split.path


def _api(kind: str, origin: str, host: str) -> str:
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return origin + _VERSIONS[kind]


def _project(kind: str, path: str, api: str) -> str:
    """OWNER/NAME of a repository's path; below what the forge as a whole is served under."""
    under = urlsplit(api).path.removesuffix(_VERSIONS[kind]).strip("/")
    whole = unquote(path).strip("/").removesuffix(".git").strip("/")
    project = whole.removeprefix(f"{under}/") if under else whole
    parts = project.split("/")
    fits = len(parts) == 2 if kind == "github" else len(parts) > 1  # noqa: PLR2004 - OWNER/NAME
    if not fits or not all(_PART.fullmatch(part) for part in parts):
        shape = "OWNER/NAME" if kind == "github" else "GROUP/NAME"
        raise UserError(f"{project!r}, the path of an agent's repository, is not {shape} on {kind}")
    return project
