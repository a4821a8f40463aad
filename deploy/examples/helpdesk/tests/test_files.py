"""The files that may be changed: prompts and tool descriptions must stay what the code can work with."""

# ruff: noqa: PT009 - this repository tests with unittest alone, so that a sandbox needs no pytest

import unittest

from helpdesk.settings import Settings
from helpdesk.tools import ARGUMENTS, OPTIONAL

JSON_TYPES = {str: "string", int: "integer"}


class TestFiles(unittest.TestCase):
    """A change of words must not change the contract."""

    def setUp(self) -> None:
        """The agent as it is on disk."""
        self.settings = Settings.load({})

    def test_every_tool_is_described(self) -> None:
        """And nothing else is."""
        self.assertEqual(set(ARGUMENTS), {tool["name"] for tool in self.settings.tools})

    def test_descriptions_are_those_of_the_handlers(self) -> None:
        """Names and types of arguments, and which of them are required."""
        for tool in self.settings.tools:
            with self.subTest(tool["name"]):
                self.assertEqual({"name", "description", "input_schema"}, set(tool))
                self.assertTrue(tool["description"].strip())
                schema = tool["input_schema"]
                required = ARGUMENTS[tool["name"]]
                kinds = {**required, **OPTIONAL.get(tool["name"], {})}
                types = {name: JSON_TYPES[kind] for name, kind in kinds.items()}
                given = {name: argument["type"] for name, argument in schema["properties"].items()}
                self.assertEqual(types, given)
                self.assertEqual(set(required), set(schema["required"]))

    def test_there_is_a_policy(self) -> None:
        """The Messages API refuses an empty one."""
        self.assertTrue(self.settings.policy.strip())

    def test_the_model_can_be_overridden(self) -> None:
        """By the environment; else the repository says."""
        self.assertEqual("claude-sonnet-5-5", self.settings.model)
        self.assertEqual("other", Settings.load({"HELPDESK_MODEL": "other"}).model)


if __name__ == "__main__":
    unittest.main()
