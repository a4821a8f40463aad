"""The agent's process: reads a request from stdin, answers it, sends its spans."""

import json
import sys

from .agent import answer
from .spans import Trace

if __name__ == "__main__":
    request = json.loads(sys.stdin.readline())
    trace = Trace(request)
    sys.stdout.write(json.dumps({"answer": answer(request, trace)}) + "\n")
    trace.send()
