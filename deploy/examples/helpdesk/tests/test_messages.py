"""Requests, answers and the messages on spans."""

# ruff: noqa: PT009, PT027 - this repository tests with unittest alone, so that a sandbox needs no pytest

import json
import unittest

from helpdesk import answer, messages

TEXT = {"role": "user", "parts": [{"type": "text", "content": "Hello"}]}


class TestMessages(unittest.TestCase):
    """From GenAI messages to the API's and back."""

    def test_a_request_becomes_messages_of_the_api(self) -> None:
        """Text parts become the content."""
        request = messages.request(json.dumps({"id": "1", "messages": [TEXT]}))
        self.assertEqual([{"role": "user", "content": "Hello"}], messages.to_api(request["messages"]))

    def test_what_is_no_request_is_refused(self) -> None:
        """Whatever is wrong with it."""
        empty = {"role": "user", "parts": []}
        for body in ("nonsense", "[]", "{}", '{"messages": []}', json.dumps({"messages": [empty]})):
            with self.subTest(body), self.assertRaises(messages.BadRequest):
                messages.request(body)

    def test_tool_calls_and_results_get_their_own_parts(self) -> None:
        """As the conventions name them."""
        call = {"type": "tool_use", "id": "t1", "name": "get_order", "input": {"order_id": "A-1"}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": "{}"}
        talk = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        asked, answered = json.loads(messages.from_api(talk))
        self.assertEqual("tool_call", asked["parts"][0]["type"])
        self.assertEqual(("tool", "tool_call_response"), (answered["role"], answered["parts"][0]["type"]))

    def test_output_says_why_it_ended(self) -> None:
        """In the conventions' words."""
        (output,) = json.loads(messages.output([{"type": "text", "text": "Bye"}], "end_turn"))
        self.assertEqual("stop", output["finish_reason"])


class TestAnswer(unittest.TestCase):
    """The final answer is a JSON object with reply and action."""

    def test_well_formed(self) -> None:
        """Is taken as it is."""
        self.assertEqual({"reply": "", "action": "none"}, answer.parse('{"reply": "", "action": "none"}'))

    def test_ill_formed(self) -> None:
        """Anything else is none."""
        for text in ("Hello", "[]", '{"reply": "x"}', '{"reply": 1, "action": "none"}', '{"action": "none"}'):
            with self.subTest(text):
                self.assertIsNone(answer.parse(text))


if __name__ == "__main__":
    unittest.main()
