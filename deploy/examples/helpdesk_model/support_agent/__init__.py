"""The script as a support agent: it follows the rules that it is given, and fumbles where they are silent."""

from support_agent.agent import reply

__all__ = ["reply"]
