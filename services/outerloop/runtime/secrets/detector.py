r"""What a detector is: what a secret looks like, and what it is called.

Each has two forms. `hint` finds candidates in raw bytes, all detectors' hints in one pass (in Hyperscan's
syntax: no look-around); it ends where the least that could match ends, as every end of a match is told.
Around that place `pattern` then decides, in the bytes of one field: what its group `secret` holds, or else
all of it, is replaced. Bytes, as offsets are in them: \w and its like mean ASCII.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of thing; `name` stands in its placeholder.

    A match begins at most `before` bytes before its hint's end, and ends at most `after` bytes behind it.
    `accepts` has the last word; `same` gives one form to what is written in several.
    """

    name: str
    hint: bytes
    pattern: re.Pattern[bytes]
    accepts: Callable[[str], bool] = bool
    same: Callable[[str], str] = str
    before: int = 400
    after: int = 4096
