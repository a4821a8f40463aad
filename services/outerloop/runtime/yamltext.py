"""YAML as people and other tools write it, read so that it means what JSON can say, and is no bomb.

A date stays the text that it is. A key that stands twice, an alias that leads back to itself, aliases that
would be too much written out, and what is no JSON (bytes, sets) are refused by line.
"""

from collections.abc import Callable, Hashable
from typing import Any

import yaml

from outerloop.runtime.errors import UserError

MOST_CHARACTERS = 16_000_000
MOST_NODES = 2_000_000  # with every alias written out
_DATE = "tag:yaml.org,2002:timestamp"
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_NO_JSON = {f"tag:yaml.org,2002:{kind}" for kind in ("binary", "set", "omap", "pairs")}


class _Loader(yaml.SafeLoader):
    """Reads a date as a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(text: str, where: str) -> Any:
    """The value that a document of YAML says; None of an empty one.

    Raises:
        UserError: naming `where`, the line and what is wrong there.
    """
    node = composed(text, where)
    if node is None:
        return None
    _Check(where).count(node)
    return _guarded(lambda: _Loader("").construct_document(node), where)


def composed(text: str, where: str) -> yaml.Node | None:
    """The document as nodes, which know their lines.

    Raises:
        UserError: naming `where`, the line and what is wrong there.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{where} is too long: {len(text):,} characters, of which {MOST_CHARACTERS:,} may be")
    node: yaml.Node | None = _guarded(lambda: yaml.compose(text, Loader=_Loader), where)
    return node


def _guarded(read: Callable[[], Any], where: str) -> Any:
    try:
        return read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{where}{line} is not YAML: {error.problem or error.context}") from error
    except RecursionError as error:
        raise UserError(f"{where} is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where} is not YAML: {error}") from error


class _Check:
    """Counts the values that a document has once its aliases are written out, without doing so."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._counted: dict[int, int] = {}  # by node; 0: not yet whole

    def count(self, node: yaml.Node) -> int:
        """How many values the node is.

        Raises:
            UserError: when they are too many, or what is not allowed is among them.
        """
        known = self._counted.get(id(node))
        if known is not None:
            if not known:
                raise self._wrong(node, "an alias leads back to itself")
            return known
        if node.tag in _NO_JSON:
            raise self._wrong(node, f"!!{node.tag.rpartition(':')[2]} is nothing that JSON can say")
        self._counted[id(node)] = 0
        try:
            size = 1 + sum(map(self.count, self._inside(node)))
        except RecursionError as error:
            raise UserError(f"{self._where} is nested too deep") from error
        if size > MOST_NODES:
            raise self._wrong(node, "with its aliases written out it is too large")
        self._counted[id(node)] = size
        return size

    def _inside(self, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.MappingNode):
            self._unique(node)
            return [inner for pair in node.value for inner in pair]
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        return []

    def _unique(self, node: yaml.MappingNode) -> None:
        seen = set[Hashable]()
        for key, _ in node.value:
            if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
                continue
            said = (key.tag, key.value)
            if said in seen:
                raise self._wrong(key, f"{key.value[:100]!r} stands here twice")
            seen.add(said)

    def _wrong(self, node: yaml.Node, what: str) -> UserError:
        return UserError(f"{self._where}:{node.start_mark.line + 1}: {what}")
