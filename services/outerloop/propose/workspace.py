"""The working tree that a session edits: what its tools can see and do there, and nothing more.

The root is a private checkout of the base commit. Paths are checked by `paths`; edits go to the paths that
the base's `mutable` globs allow, never to `outerloop.yaml`, CI or what steers git; every result is
bounded and says how to see more.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from outerloop.propose import paths
from outerloop.propose.paths import RefusedError
from outerloop.runtime.agentfile import is_protected
from outerloop.runtime.globs import matches

MAX_FILE_BYTES = 256 * 1024
MAX_RESULT_CHARS = 16_000
MAX_LISTED = 500
MAX_HITS = 60
MAX_HIT_CHARS = 240
_ABOUT = 2_000


class Workspace:
    """The tree at `root`; `mutable` are the globs of the base commit, read before the session began."""

    def __init__(self, root: Path, mutable: Sequence[str]) -> None:
        self.root = root
        self._mutable = tuple(mutable)
        self._originals: dict[str, str] = {}

    @property
    def changed(self) -> tuple[str, ...]:
        """Paths of the files that were edited and do not read as they did before."""
        return tuple(path for path, text in sorted(self._originals.items()) if self._text(path) != text)

    def mutable_files(self) -> dict[str, int]:
        """The files that may be edited: path to size in bytes."""
        return {path: size for path, size in paths.walk(self.root) if self._may_change(path)}

    def first_line(self, path: str) -> str:
        """The first line of a file that says something, "" if none does: what the file is about."""
        try:
            lines = self._text(path)[:_ABOUT].splitlines()
        except RefusedError:
            return ""
        return next((line.strip("#/\"' ") for line in lines if any(map(str.isalpha, line))), "")

    def list_files(self, folder: str = "") -> str:
        """One line a file: path, size, and whether it may be changed."""
        found = self._below(folder)
        lines = [
            f"{path} ({size} bytes{', may be changed' if self._may_change(path) else ''})"
            for path, size in found[:MAX_LISTED]
        ]
        if len(found) > MAX_LISTED:
            lines.append(f"[{len(found) - MAX_LISTED} more files; list_files with a folder shows fewer]")
        return "\n".join(lines)

    def read_file(self, path: str, start_line: int = 1) -> str:
        """The text of a file as it is, from a line on; a last line in brackets says what is left."""
        lines = self._text(path).splitlines(keepends=True)
        if not lines:
            return "[the file is empty]"
        if start_line > len(lines):
            raise RefusedError(f"{path!r} has {len(lines)} lines only")
        end, room = start_line - 1, MAX_RESULT_CHARS
        while end < len(lines) and len(lines[end]) <= room:
            room -= len(lines[end])
            end += 1
        if end == len(lines):
            return "".join(lines[start_line - 1 :])
        if end == start_line - 1:
            cut = f"[line {start_line} has {len(lines[end])} characters; search shows parts of it]"
            return f"{lines[end][:MAX_RESULT_CHARS]}\n{cut}"
        text = "".join(lines[start_line - 1 : end])
        return f"{text}[{len(lines) - end} more lines; read_file with start_line {end + 1} goes on]"

    def search(self, pattern: str, folder: str = "") -> str:
        """`path:line: text` of the lines that hold `pattern`, literally and with its case."""
        hits: list[str] = []
        unread = 0
        for path, size in self._below(folder):
            try:
                text = self._text(path) if size <= MAX_FILE_BYTES else None
            except RefusedError:
                text = None
            if text is None:
                unread += 1
                continue
            found = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if pattern in line]
            hits += [f"{path}:{n}: {_around(line, pattern)}" for n, line in found]
        shown = hits[:MAX_HITS] or ["no line holds it"]
        if len(hits) > MAX_HITS:
            shown.append(f"[{len(hits) - MAX_HITS} more lines; a longer pattern or a folder shows fewer]")
        if unread:
            shown.append(f"[{unread} files are not text or too large, and were not searched]")
        return "\n".join(shown)

    def edit_file(self, path: str, old: str, new: str) -> str:
        """Replace the one occurrence of `old` by `new`, both with the file's own ends of lines."""
        paths.check(path)
        if not self._may_change(path):
            raise RefusedError(f"{path!r} may not be changed; what may: {', '.join(self._mutable)}")
        text = self._text(path)
        if old == new:
            raise RefusedError("old and new are the same")
        old, new = _ending_as(text, old), _ending_as(text, new)
        count = text.count(old) if old else 0
        if count != 1:
            raise RefusedError(_mismatch(path, count))
        edited = text.replace(old, new)
        try:
            data = edited.encode()
        except UnicodeEncodeError as error:
            raise RefusedError(f"new is not text: {error.reason}") from error
        if len(data) > MAX_FILE_BYTES or "\0" in new:
            raise RefusedError(f"the file would not be text of at most {MAX_FILE_BYTES} bytes any more")
        self._originals.setdefault(path, text)
        # In place, so that the file keeps its mode; nobody else reads a tree that is being edited.
        with open(paths.open_below(self.root, path, os.O_WRONLY), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
            file.truncate()
        return f"edited {path}: line {edited[: text.index(old)].count(chr(10)) + 1}"

    def _may_change(self, path: str) -> bool:
        return not is_protected(path) and matches(path, self._mutable)

    def _below(self, folder: str) -> list[tuple[str, int]]:
        folder = folder.removesuffix("/")
        prefix = f"{folder}/" if folder not in {"", "."} and paths.check(folder) else ""
        found = [(path, size) for path, size in paths.walk(self.root) if path.startswith(prefix)]
        if not found:
            raise RefusedError(f"there is no file below {folder or 'the root'!r}")
        return found

    def _text(self, path: str) -> str:
        with open(paths.open_below(self.root, path, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise RefusedError(f"{path!r} is larger than the {MAX_FILE_BYTES} bytes that can be read")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise RefusedError(f"{path!r} is not UTF-8 text") from error
        if "\0" in text:
            raise RefusedError(f"{path!r} is not text")
        return text


def _ending_as(text: str, part: str) -> str:
    """A part with the ends of lines that a text has throughout: what models write has those of Unix."""
    windows = 0 < text.count("\n") == text.count("\r\n")
    return part.replace("\r\n", "\n").replace("\n", "\r\n") if windows else part


def _mismatch(path: str, count: int) -> str:
    if count:
        return (
            f"old occurs {count} times in {path!r}: give more of the text around it, so that it occurs once"
        )
    return (
        f"old does not occur in {path!r}: it must equal the file's text, spaces and lines too; read it again"
    )


def _around(line: str, pattern: str) -> str:
    """The part of a long line that holds `pattern`."""
    if len(line) <= MAX_HIT_CHARS:
        return line
    start = max(0, line.index(pattern) - MAX_HIT_CHARS // 3)
    return f"…{line[start : start + MAX_HIT_CHARS]}…"
