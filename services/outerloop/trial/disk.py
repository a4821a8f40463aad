"""filled: when a tree that a command may write to has grown beyond its limit; nothing else bounds it."""

import asyncio
import os
from pathlib import Path

_PAUSE = 0.25  # seconds between two looks
_BLOCK = 4096  # bytes that a file takes at least, with its name and inode


async def filled(tree: Path, most: int) -> None:
    """Returns once the files below `tree` take `most` bytes on disk more than at first."""
    first = await asyncio.to_thread(_size, tree)
    while await asyncio.to_thread(_size, tree) <= first + most:  # noqa: ASYNC110 - files tell nobody
        await asyncio.sleep(_PAUSE)


def _size(tree: Path) -> int:
    total = 0
    for folder, directories, files in os.walk(tree):
        total += _BLOCK * len(directories)
        for name in files:
            try:
                total += max(_BLOCK, os.lstat(os.path.join(folder, name)).st_blocks * 512)  # noqa: PTH118 - many
            except OSError:
                continue  # it is gone again
    return total
