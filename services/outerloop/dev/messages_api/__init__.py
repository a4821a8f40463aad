"""A model that is a script, behind Anthropic's Messages API, at least as strict as the real one.

Tests and the demo point `ANTHROPIC_BASE_URL` here. What the model says is decided by a script (see
`script.py`) and by nothing in this package, which knows no agent. Two ways to run it:

* `python -m outerloop.dev.messages_api --script PATH.py` - a process of its own;
* `async with serving(reply, seed=7) as api:` - in this process, on a real socket.
"""

from outerloop.dev.messages_api.faults import Fault
from outerloop.dev.messages_api.script import Dice, Reply, Script, load_script
from outerloop.dev.messages_api.server import MessagesApi, serving

__all__ = ["Dice", "Fault", "MessagesApi", "Reply", "Script", "load_script", "serving"]
