"""Records as nobody should send them: strategies for tests of all that looks at what comes from outside."""

import json
from typing import Any

from hypothesis import strategies as st


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes cut short, or with a few of them changed, doubled or gone."""
    data = bytearray(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 3))
        data[place : place + length] = draw(st.binary(max_size=4))
    return bytes(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def odd_json(draw: st.DrawFn, whole: Any) -> bytes:
    """The document with the value at one place replaced by anything."""
    document = json.loads(json.dumps(whole))
    at = document
    for _ in range(draw(st.integers(1, 9))):
        key = draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
        inner = at[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 4)) == 0:
            at[key] = draw(VALUES)
            break
        at = inner
    return json.dumps(document).encode("utf-8", "surrogatepass")
