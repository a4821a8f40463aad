"""Connects to a listener on the host, by every address that might lead there."""

import socket
from typing import Any

_ADDRESSES = ("127.0.0.1", "localhost", "0.0.0.0", "10.0.2.2", "169.254.169.254", "192.0.2.1")  # noqa: S104 - it tries


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """Where it came."""
    del request, trace
    for address in _ADDRESSES:
        try:
            with socket.create_connection((address, known["port"]), timeout=0.2):
                return f"ESCAPED: connected to {address}"
        except OSError:
            continue
    return ""
