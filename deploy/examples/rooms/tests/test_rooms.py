"""What must hold whatever the prompts say."""

# ruff: noqa: PT009, PT027 - this repository tests with unittest alone, so that a sandbox needs no pytest

import unittest

import diary
import rooms


class RoomsTest(unittest.TestCase):
    """Prompts and tools fit together."""

    def test_every_tool_is_described(self) -> None:
        """A tool without a description is one that the model guesses at."""
        self.assertEqual(set(rooms.PROMPTS["tools"]), set(diary.TOOLS))
        self.assertTrue(all(tool["description"].strip() for tool in rooms.definitions()))

    def test_a_room_that_is_too_small_is_refused(self) -> None:
        """The diary looks after itself."""
        given = {"room": "Elbe", "day": "2026-05-03", "start": "10:00", "minutes": 60, "seats": 9}
        with self.assertRaisesRegex(diary.DiaryError, "seats 4"):
            diary.call("book_room", given)
