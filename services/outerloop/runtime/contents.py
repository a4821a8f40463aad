"""What no change may say, whatever its paths: secrets, new dependencies, wider permissions. Pure.

The gate's invariants look at which files change and how; these look into them. All go by the base's
`outerloop.yaml`, and by the texts before and after, never by what a change says of itself.
"""

import ast
import codecs
import json
import math
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import UserError
from outerloop.runtime.manifests import is_manifest
from outerloop.runtime.readings import faithful, hidden
from outerloop.runtime.secrets.credentials import is_secret, kinds
from outerloop.runtime.yamltext import loaded

# Beside what secrets/ knows: less would be too little to take it out of a trace.
_SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----",
    "an API key": r"\b(?:sk|pk|rk)[-_](?:ant|proj|live|test)?[-_]?[\w-]{20,}",
}
_ASSIGNED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|credential|api[_-]?key)[\w-]*[\"']?\s*[:=]\s*[\"']?([^\s\"',;]{12,})"
)
# Bits a character: below it stand words and placeholders, above it what a machine has drawn.
_ENTROPY = 3.6
_CODE = (".py", ".sh", ".js", ".ts")
_INSTALLS = re.compile(
    r"""\b(?:pip3?|uv|npm|yarn|pnpm|poetry|conda|gem|cargo|apt-get)["'\s,]+(?:install|add)\b"""
    r"|^#\s*dependencies\s*=\s*\["  # of a script (PEP 723)
)
_PERMISSION = re.compile(
    r"(?i)(?:^|[_-])(?:permissions?|scopes?|roles?|grants?|allow(?:ed|list)?|access|privileges?|sandbox(?:ed)?|"
    r"trust(?:ed)?|approv(?:e|ed|als?)|policies|capabilit(?:y|ies)|auth(?:ori[sz]ation)?|bypass|unsafe|admin|"
    r"read_?only|destructive)(?:$|[_-])"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# A setting in a line: bare at its beginning, quoted, or assigned; and its value.
_KEY = re.compile(
    r"""(?:^[-\s]*["']?([\w-]+)["']?\s*[:=](?!=)|["']([\w-]+)["']\s*:|(?<![\w.-])([\w-]+)\s*=(?!=))"""
    r"""(?=\s*([\[({][^\])}]{0,1000}|[^,\s\])}]{0,1000}))"""  # looked ahead at: settings may stand in it
)
_SPEAKERS = frozenset(
    {"user", "assistant", "system", "developer", "tool", "function", "human", "ai", "model"}
)
_PASSED_ON = re.compile(r"""(?:[A-Za-z_][\w.]*(?:\.|\[["']))?role""")  # role, message.role, message["role
# What stands beside a credential's name in code and in prose: settings.s3_key; "new password".
_NO_SECRET = re.compile(r"[a-z_]\w*(?:\.[a-z_]\w*)+|[^\W\d_]+ [^\W\d_]+")
_FRONT = re.compile(r"---\n(.*?\n)---(?:\n|$)", re.DOTALL)
_PROSE = (".md", ".txt")


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that a change edits: its text before and after, "" where there is none."""

    path: str
    before: str
    after: str

    @property
    def added(self) -> list[str]:
        """Lines that are there more often than before."""
        return _more(self.after, self.before)

    @property
    def removed(self) -> list[str]:
        """Lines that are there less often than before."""
        return _more(self.before, self.after)


def _more(text: str, than: str) -> list[str]:
    had = Counter(than.splitlines())
    lines: list[str] = []
    for line in text.splitlines():
        if had[line]:
            had[line] -= 1
        else:
            lines.append(line)
    return lines


def objections(edited: Collection[Edited], terms: AgentFile, modules: Collection[str]) -> list[str]:
    """What the texts of a change do that they may not, a sentence each; [] if nothing.

    `modules`: the top-level names that the agent's Python files import at the base, or are themselves.
    """
    found: list[str] = []
    for file in edited:
        found += [f"{file.path!r} adds {what}" for what in _secrets(file)]
        if not terms.changes.dependencies:
            found += [
                f"{file.path!r} {what}" for what in _dependencies(file, modules, terms.environment.lock)
            ]
        if not terms.changes.permissions:
            found += [f"{file.path!r} {what}" for what in _permissions(file)]
    return found


def imports_of(text: str) -> set[str]:
    """The top-level names that a Python file imports, by a statement or a call; none if it is not Python."""
    try:
        tree = ast.parse(text.encode(errors="replace"))  # bytes: a file may name an encoding that hides code
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
    for kind in dict.fromkeys(kind for each in said for kind in kinds(each, _drawn)):
        yield f"what looks like a secret ({kind})"
    for line in file.added:
        assigned = _ASSIGNED.search(line)
        if assigned and _entropy(assigned[1]) > _ENTROPY and any(map(str.isdigit, assigned[1])):
            yield "what looks like a secret"


def _drawn(value: str) -> bool:
    """Whether what stands where a credential does can be one, also in rot13."""
    return not _NO_SECRET.fullmatch(value) and is_secret(codecs.encode(value, "rot13"))


def _entropy(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _dependencies(file: Edited, modules: Collection[str], lock: str | None) -> Iterator[str]:
    named = lock and PurePosixPath(file.path) == PurePosixPath(lock)
    if named or is_manifest(file.path, file.before, file.after):
        yield "says what the agent depends on; outerloop.yaml does not allow that (changes.dependencies)"
    if file.path.endswith(_CODE) and any(_INSTALLS.search(line) for line in file.added):
        yield "installs something; outerloop.yaml does not allow that (changes.dependencies)"
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
        is_, was = Counter(_granting(file.added)), Counter(_granting(file.removed))
        changed = sorted({key for key, _ in (is_ - was) + (was - is_)})
        if file.path.endswith(_PROSE) and not file.after.startswith("---\n"):
            changed = []  # prose: "access: …" grants nothing
    for key in changed[:5]:
        yield f"changes {key}, a permission; outerloop.yaml does not allow that (changes.permissions)"


def _granting(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The settings in lines that speak of permissions, with their values."""
    for match in (match for line in lines for match in _KEY.finditer(line)):
        key = match[1] or match[2] or match[3]
        if _is_permission(key, match[4].strip("\"'")):
            yield key, match[4]


def _is_permission(key: str, value: object) -> bool:
    """Whether a setting says what may be done; the role of a message says who speaks."""
    said = str(value)
    speaks = key.casefold() == "role" and (said in _SPEAKERS or _PASSED_ON.fullmatch(said) is not None)
    return not speaks and _PERMISSION.search(_HUMP.sub("_", key)) is not None


def _names_tools(key: str, value: object) -> bool:
    """Whether a setting lists tools by their names, as who may be used."""
    names = value if isinstance(value, list) else [value]
    return key.casefold() == "tools" and all(isinstance(name, str) for name in names)


def _document(path: str, text: str) -> Any:
    """The mapping or list that a file of settings holds, None if it holds none.

    Of Markdown, what stands before it between two lines of dashes.
    """
    name = path.lower()
    try:
        if name.endswith(".md"):
            front = _FRONT.match(text)
            if front is None:
                return None if text.startswith("---\n") else {}
            name, text = ".yaml", front[1]
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
            of_schema = key == "readOnly" and isinstance(value.get("type"), str)  # JSON Schema's, of a value
            own = (_is_permission(str(key), inner) and not of_schema) or _names_tools(str(key), inner)
            yield from _settings(inner, f"{where}.{key}".lstrip("."), guarded=guarded or own)
        if guarded and not value:
            yield where, "{}"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _settings(inner, f"{where}[{index}]", guarded=guarded)
    elif guarded:
        yield where, repr(value)
