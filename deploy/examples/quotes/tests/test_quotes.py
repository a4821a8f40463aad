"""What must hold whatever the instructions say."""

# ruff: noqa: PT009 - this repository tests with unittest alone, so that a sandbox needs no pytest

import unittest

from quotes.tools import make_quote


class QuotesTest(unittest.TestCase):
    """The arithmetic is nobody's to change."""

    def test_the_total_is_price_by_quantity_less_discount(self) -> None:
        """A bowl is 8.00."""
        self.assertEqual(make_quote("SKU-0013", 10, "EUR", 10)["total"], "72.00 EUR")
