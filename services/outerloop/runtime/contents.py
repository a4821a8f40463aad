"""What no change may say, whatever its paths: secrets, new dependencies, wider permissions. Pure.

The gate's invariants look at which files change and how; these look into them. All go by the base's
`outerloop.yaml`, and by the texts before and after, never by what a change says of itself.
"""

import ast
import json
import math
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outerloop.runtime.agentfile import Changes, folded
from outerloop.runtime.errors import UserError
from outerloop.runtime.readings import faithful, hidden
from outerloop.runtime.yamltext import loaded

_SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "an API key": r"\b(?:sk|pk|rk)[-_](?:ant|proj|live|test)?[-_]?[\w-]{20,}",
    "a Slack token": r"\bxox[abeprs]-[\w-]{10,}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "a signed token (JWT)": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in an address": r"://[^/\s:@]+:[^/\s@]{4,}@",
}
_ASSIGNED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|credential|api[_-]?key)[\w-]*[\"']?\s*[:=]\s*[\"']?([^\s\"',;]{12,})"
)
# Bits a character: below it stand words and placeholders, above it what a machine has drawn.
_ENTROPY = 3.6
_MANIFESTS = re.compile(
    r"(?i)(?:^|/)(?:[\w.-]*requirements[\w.-]*\.(?:txt|in)|[\w.-]*constraints[\w.-]*\.txt|.*\.lock|pyproject\.toml|"
    r"setup\.(?:py|cfg)|pipfile|environment\.ya?ml|package(?:-lock)?\.json|pnpm-lock\.yaml|go\.(?:mod|sum)|cargo\.toml|"
    r"gemfile|dockerfile)$"
)
_PERMISSION = re.compile(
    r"(?i)(?:^|[_-])(?:permissions?|scopes?|roles?|grants?|allow(?:ed|list)?|access|privileges?|sandbox(?:ed)?|"
    r"trust(?:ed)?|approvals?|policies|capabilit(?:y|ies)|auth(?:ori[sz]ation)?|bypass|unsafe|admin)(?:$|[_-])"
)
_KEY = re.compile(r"^\s*[-\s]*[\"']?([\w-]+)[\"']?\s*[:=]")


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that a change edits: its text before and after, "" where there is none."""

    path: str
    before: str
    after: str

    @property
    def added(self) -> list[str]:
        """Lines that are there more often than before."""
        had = Counter(self.before.splitlines())
        lines: list[str] = []
        for line in self.after.splitlines():
            if had[line]:
                had[line] -= 1
            else:
                lines.append(line)
        return lines


def objections(edited: Collection[Edited], terms: Changes, modules: Collection[str]) -> list[str]:
    """What the texts of a change do that they may not, a sentence each; [] if nothing.

    `modules`: the top-level names that the agent's Python files import at the base, or are themselves.
    """
    found: list[str] = []
    for file in edited:
        found += [f"{file.path!r} adds {what}" for what in _secrets(file)]
        if not terms.dependencies:
            found += [f"{file.path!r} {what}" for what in _dependencies(file, modules)]
        if not terms.permissions:
            found += [f"{file.path!r} {what}" for what in _permissions(file)]
    return found


def imports_of(text: str) -> set[str]:
    """The top-level names that a Python file imports, by a statement or a call; none if it is not Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and (name := _imported(node)):
            found.add(name.partition(".")[0])
    return found


def _imported(call: ast.Call) -> str:
    """The module that `__import__("…")` or `import_module("…")` names, "" if it is neither."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = call.args[0] if call.args else None
    if called not in {"__import__", "import_module"} or not isinstance(named, ast.Constant):
        return ""
    return str(named.value)


def _secrets(file: Edited) -> Iterator[str]:
    text = "\n".join(file.added)
    said = [*faithful(text), *hidden(text)]  # also what is put together or decoded
    for what, form in _SECRETS.items():
        if any(re.search(form, each) for each in said):
            yield f"what looks like {what}"
    for line in file.added:
        assigned = _ASSIGNED.search(line)
        if assigned and _entropy(assigned[1]) > _ENTROPY and any(map(str.isdigit, assigned[1])):
            yield "what looks like a secret"


def _entropy(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _dependencies(file: Edited, modules: Collection[str]) -> Iterator[str]:
    if _MANIFESTS.search("/".join(folded(part) for part in file.path.split("/"))):
        yield "says what the agent depends on; outerloop.yaml does not allow that (changes.dependencies)"
    if file.path.endswith(".py"):
        new = imports_of(file.after) - imports_of(file.before) - set(modules) - sys.stdlib_module_names
        for name in sorted(new):
            yield f"imports {name}, which is new; outerloop.yaml does not allow that (changes.dependencies)"


def _permissions(file: Edited) -> Iterator[str]:
    before, after = _document(file.path, file.before), _document(file.path, file.after)
    if after is not None and (before is not None or not file.before):
        old, new = dict(_settings(before)), dict(_settings(after))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    else:
        changed = sorted(
            {named[1] for line in file.added if (named := _KEY.match(line)) and _PERMISSION.search(named[1])}
        )
        if file.path.endswith((".md", ".txt")):
            changed = []  # prose: "access: …" grants nothing
    for key in changed[:5]:
        yield f"changes {key}, a permission; outerloop.yaml does not allow that (changes.permissions)"


def _document(path: str, text: str) -> Any:
    """The mapping or list that a file of settings holds, None if it holds none."""
    name = path.lower()
    try:
        if name.endswith((".yaml", ".yml")):
            found = loaded(text, path)
        elif name.endswith(".json"):
            found = json.loads(text)
        elif name.endswith(".toml"):
            found = tomllib.loads(text)
        else:
            return None
    except (UserError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _settings(value: Any, where: str = "", *, guarded: bool = False) -> Iterator[tuple[str, str]]:
    """Everything below a key that speaks of permissions: its place and its value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _settings(
                inner, f"{where}.{key}".lstrip("."), guarded=guarded or bool(_PERMISSION.search(str(key)))
            )
        if guarded and not value:
            yield where, "{}"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _settings(inner, f"{where}[{index}]", guarded=guarded)
    elif guarded:
        yield where, repr(value)
