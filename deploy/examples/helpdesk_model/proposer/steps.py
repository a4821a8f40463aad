"""The proposer's next step: list, read, edit, test, finish; told by what it has done so far."""

import re
from collections.abc import Mapping
from typing import Any

from conversation import Call, Conversation, use

from proposer import placing
from proposer.brief import Brief, Cause
from proposer.wording import Rule, rule

MAX_EDITS = 2
_NUMBERED = re.compile(r"^ *\d+(?:\t|→|\| ?|: )")
_TESTS_FAILED = re.compile(r"\bFAILED\b|\bexit(?:ed)?(?: with)?(?: (?:code|status))?[: ]+[1-9]")
_CHOICE = re.compile(r"^\s+(\w+):\s*\{?[^\n]*?\benum:\s*\[([^\]]+)\]", re.MULTILINE)


def reply(talk: Conversation) -> dict[str, Any]:
    """The next call of a tool."""
    brief = Brief.read(talk.said[0])
    cause = brief.cause()
    if cause is None:
        return use("give_up", reason="The signals name nothing that a rule in a prompt could remove.")
    wanted = rule(cause, brief.attempts, _instead(talk, cause))
    if wanted is None:
        return use(
            "give_up", reason=f"The evidence ({cause.kind}) does not say what the rule would have to be."
        )
    if not talk.calls:
        return use("list_files")
    paths = _to_read(talk, cause)
    if not paths:
        return use("give_up", reason="No prompt and no tool description is among the files.")
    return _next(talk, cause, wanted, paths)


def _next(talk: Conversation, cause: Cause, wanted: Rule, paths: list[str]) -> dict[str, Any]:
    """The step after the last call; `paths` are to be read in this order, and the last one edited."""
    last = talk.calls[-1]
    failed = last.is_error or last.result.lower().startswith("error")
    edits = sum(call.name == "edit_file" for call in talk.calls)
    # An edit that did not match: the text was not as it was read, so it is read again.
    if last.name == "edit_file" and failed and edits < MAX_EDITS:
        return use("read_file", path=paths[-1])
    if failed or (last.name == "run_tests" and _TESTS_FAILED.search(last.result)):
        return use("give_up", reason=f"{last.name} failed: {last.result[:300]}")
    unread = [path for path in paths if path not in _read(talk)]
    if unread:
        return use("read_file", path=unread[0])
    if last.name == "read_file":
        return _edit(paths[-1], _content(last), cause, wanted)
    if last.name == "edit_file" and "run_tests" in talk.tools:
        return use("run_tests")
    return use("finish", **_report(talk.tools["finish"], paths[-1], wanted))


def _read(talk: Conversation) -> dict[str, Call]:
    return {call.arguments["path"]: call for call in talk.calls if call.name == "read_file"}


def _to_read(talk: Conversation, cause: Cause) -> list[str]:
    """The files to read; the last is edited: a tool's description for its arguments, else the prompt."""
    listing = next((call.result for call in talk.calls if call.name == "list_files"), "")
    paths = re.findall(r"[\w./-]+\.(?:md|ya?ml|txt)\b", listing)
    described = [p for p in paths if re.search(rf"(?:^|/){cause.tool}\.ya?ml$", p)] if cause.tool else []
    prompts = [p for p in paths if "prompt" in p and p.endswith((".md", ".txt"))][:1]
    if cause.kind == "argument":
        return described or prompts
    return [*described, *prompts] if cause.kind == "loop" and prompts else prompts


def _instead(talk: Conversation, cause: Cause) -> str:
    """Another way to call the failing tool: the last choice of an argument, where its file offers some."""
    if cause.kind != "loop" or not cause.tool:
        return ""
    texts = [_content(call) for path, call in _read(talk).items() if f"{cause.tool}." in path]
    found = next(filter(None, map(_CHOICE.search, texts)), None)
    return f"{found[1]} {found[2].split(',')[-1].strip()}" if found else ""


def _edit(path: str, text: str, cause: Cause, wanted: Rule) -> dict[str, Any]:
    if path.endswith((".yaml", ".yml")):
        edit = placing.in_yaml(text, wanted.text)
    else:
        edit = placing.in_markdown(text, wanted.text, cause.tool, "JSON" if cause.kind == "answer" else "")
    if edit is None:
        return use("give_up", reason=f"{path} has no description to add a rule to.")
    return use("edit_file", path=path, old=edit[0], new=edit[1])


def _content(read: Call) -> str:
    """A file's text as it is on disk: without a wrapping data block and without line numbers."""
    text = re.sub(r"\A<data[^>]*>\n|\n?</data>\s*\Z", "", read.result)
    lines = text.split("\n")
    numbered = all(_NUMBERED.match(line) for line in lines if line.strip())
    return "\n".join(_NUMBERED.sub("", line) for line in lines) if numbered else text


def _report(finish: Mapping[str, Any], path: str, wanted: Rule) -> dict[str, Any]:
    """The arguments of finish, in whatever types its schema asks for."""
    where = "tool description" if path.endswith((".yaml", ".yml")) else "prompt"
    said: dict[str, str | float] = {
        "diagnosis": wanted.diagnosis,
        "cause": f"{path} was silent ({where})",
        "risk": wanted.risk,
        "confidence": wanted.confidence,
    }
    schemas = finish["input_schema"].get("properties", {})
    return {name: _fit(value, schemas[name]) for name, value in said.items() if name in schemas}


def _fit(value: str | float, schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        words = re.findall(r"[a-z]+", str(value).lower())
        near = [option for option in schema["enum"] if any(word in str(option).lower() for word in words)]
        return near[0] if near else schema["enum"][0]
    return float(value) if schema.get("type") == "number" and isinstance(value, float) else str(value)
