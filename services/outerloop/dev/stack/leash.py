"""A child that dies with its parent, even when the parent is killed with SIGKILL and can stop nothing itself.

Run as `python -ISs leash.py PARENT_PID COMMAND...`, it becomes COMMAND: the kernel keeps the order over
`exec`. This is a step between fork and the program, and not `preexec_fn`, because Python may not run safely
there. On systems other than Linux there is no such order, and the command simply runs.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def leashed(argv: list[str]) -> list[str]:
    """The command line that runs `argv` on a leash held by this process."""
    return [sys.executable, "-ISs", __file__, str(os.getpid()), *argv]


if __name__ == "__main__":
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):  # the parent went before the kernel took the order
        sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command is our own, and no shell is wanted
