"""Runs the processes of a local stack: starts them in stages, waits for conditions, stops them all.

It knows command lines and nothing of what they run. Each process has a session of its own, so Ctrl-C reaches
the supervisor alone, which stops the others in order; and each is on a leash (`leash`), so a supervisor
killed with SIGKILL leaves nothing running.
"""

from outerloop.dev.stack.folder import FolderInUseError
from outerloop.dev.stack.process import NotReadyError, Process, ProcessDiedError, StackError
from outerloop.dev.stack.supervisor import Stack

__all__ = ["FolderInUseError", "NotReadyError", "Process", "ProcessDiedError", "Stack", "StackError"]
