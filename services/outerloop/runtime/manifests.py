"""Manifests: the files that say what a program depends on, by their names. Pure.

Some names are others' too: an agent that writes mail has a tool `compose.yaml`, and what it must not say may
stand in a prompt `constraints.txt`. Those count by what they hold, before a change or after it.
"""

import re

from outerloop.runtime.agentfile import folded

_NAMES = re.compile(
    r"(?:^|/)(?:.*\.lockb?|pyproject\.toml|setup\.(?:py|cfg)|pipfile|tox\.ini|pip\.conf|"
    r"(?:pdm|pixi|poetry|uv)\.toml|"
    r"package(?:-lock)?\.json5?|npm-shrinkwrap\.json|pnpm-(?:lock|workspace)\.yaml|deno\.jsonc?|\.npmrc|\.yarnrc.*|"
    r"go\.(?:mod|sum|work)|cargo\.toml|gemfile|.*\.gemspec|composer\.json|pom\.xml|build\.gradle.*|.*\.csproj|mix\.exs|"
    r"(?:docker|container)file.*|.*\.dockerfile|docker-compose[\w.-]*\.ya?ml)$"
)
# A line that pip reads: a requirement, a path or an address, or an option.
_PIP = re.compile(r"[ \t]*(?:--?[A-Za-z].*|[A-Za-z0-9][\w.-]*[ \t]*(?:[\[(<>=!~;@\\#].*)?|[^\s:/]*:?/.*)?")
_COMPOSE = re.compile(r"""(?m)^[^\w\n]*(?:services|include|extends)["']?\s*:""")
_CONDA = re.compile(r"""(?m)^[^\w\n]*(?:dependencies|channels|prefix)["']?\s*:""")


def _pip(text: str) -> bool:
    """Whether at least half of the lines are pip's: one that we do not know makes no prose of the others.

    What begins with # speaks for neither: it is a comment of pip's, and a heading of a prompt's.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return 2 * sum(map(bool, map(_PIP.fullmatch, lines))) >= len(lines)


_BY_TEXT = (
    (
        re.compile(r"(?:^|/)(?:[\w.-]*(?:requirements|constraints)[\w.-]*|requirements/.+)\.(?:txt|in|pip)$"),
        _pip,
    ),
    (re.compile(r"(?:^|/)compose(?:[.-][\w.-]+)?\.ya?ml$"), _COMPOSE.search),
    (re.compile(r"(?:^|/)(?:conda|environment)(?:[.-][\w.-]*)?\.ya?ml$"), _CONDA.search),
)


def is_manifest(path: str, before: str, after: str) -> bool:
    """Whether a file that reads so says what is depended on; one that is new does by its name alone."""
    plain = "/".join(folded(part) for part in path.split("/"))
    if _NAMES.search(plain):
        return True
    texts = [text for text in (before, after) if text.strip()]
    return any(
        name.search(plain) and (not before or any(holds(text) for text in texts)) for name, holds in _BY_TEXT
    )
