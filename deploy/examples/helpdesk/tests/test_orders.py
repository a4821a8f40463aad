"""What may be done to orders, and the tools over them."""

# ruff: noqa: PT009, PT027 - this repository tests with unittest alone, so that a sandbox needs no pytest

import io
import json
import unittest
from typing import Any

from helpdesk.orders import OrderError, Orders
from helpdesk.toolbox import serve
from helpdesk.tools import ARGUMENTS, LocalTools


def an_order(orders: Orders, **wanted: Any) -> str:
    """The id of the first order that is so."""
    matches = (o for o in orders.orders.values() if all(o[name] == value for name, value in wanted.items()))
    return str(next(matches)["id"])


class TestOrders(unittest.TestCase):
    """The rules of the database."""

    def setUp(self) -> None:
        """A fresh copy for each test."""
        self.orders = Orders.load()

    def test_an_order_comes_with_today(self) -> None:
        """The model needs a date to reckon with."""
        order = self.orders.get_order("A-1007")
        self.assertEqual(("A-1007", self.orders.today), (order["id"], order["today"]))

    def test_an_id_has_one_form(self) -> None:
        """The error says which."""
        with self.assertRaisesRegex(OrderError, "invalid order id '1007': expected the form A-1007"):
            self.orders.get_order("1007")

    def test_an_order_is_refunded_once(self) -> None:
        """The second time is refused."""
        order_id = an_order(self.orders, status="delivered")
        total = self.orders.get_order(order_id)["total_cents"]
        self.assertEqual(total, self.orders.refund_order(order_id, total, "torn")["amount_cents"])
        with self.assertRaisesRegex(OrderError, "already refunded"):
            self.orders.refund_order(order_id, total, "torn")

    def test_no_more_is_refunded_than_was_paid(self) -> None:
        """Nor less than a cent."""
        order_id = an_order(self.orders, status="delivered")
        for amount in (0, self.orders.get_order(order_id)["total_cents"] + 1):
            with self.assertRaisesRegex(OrderError, "amount_cents"):
                self.orders.refund_order(order_id, amount, "torn")

    def test_what_has_left_cannot_be_changed(self) -> None:
        """Neither cancelled nor sent elsewhere."""
        order_id = an_order(self.orders, status="shipped")
        with self.assertRaisesRegex(OrderError, "is shipped"):
            self.orders.cancel_order(order_id)
        with self.assertRaisesRegex(OrderError, "is shipped"):
            self.orders.update_address(order_id, "elsewhere 1")

    def test_a_placed_order_can_be_cancelled(self) -> None:
        """And is, then."""
        order_id = an_order(self.orders, status="placed")
        self.orders.cancel_order(order_id)
        self.assertEqual("cancelled", self.orders.get_order(order_id)["status"])

    def test_one_carrier_times_out(self) -> None:
        """Its parcels cannot be tracked live; others can, and what was last reported is always known."""
        for carrier, fails in (("Hermes", True), ("DHL", False)):
            order = self.orders.get_order(an_order(self.orders, status="shipped", carrier=carrier))
            with self.subTest(carrier):
                result = LocalTools(self.orders).call(
                    "track_shipment", {"tracking_number": order["tracking"]}
                )
                self.assertEqual(fails, result.is_error)
                known = self.orders.track_shipment(order["tracking"], "last_scan")
                self.assertEqual(carrier, known["carrier"])


class TestTools(unittest.TestCase):
    """Calls as a model makes them."""

    def test_wrong_arguments_are_answered(self) -> None:
        """With an error for the model, not with an exception."""
        tools = LocalTools(Orders.load())
        for name, arguments in (
            ("get_order", {}),
            ("get_order", {"order_id": 1007}),
            ("get_order", {"order_id": "A-1007", "more": 1}),
            ("load", {}),
        ):
            with self.subTest(name, arguments=arguments):
                self.assertTrue(tools.call(name, arguments).is_error)

    def test_the_toolbox_answers_line_by_line(self) -> None:
        """Also what is no call."""
        lines = [json.dumps({"name": "get_order", "arguments": {"order_id": "A-1007"}}), "nonsense", "[]"]
        out = io.StringIO()
        serve(io.StringIO("\n".join(lines)), out)
        answers = [json.loads(line) for line in out.getvalue().splitlines()]
        self.assertEqual([False, True, True], [answer["is_error"] for answer in answers])
        self.assertEqual(5, len(ARGUMENTS))


if __name__ == "__main__":
    unittest.main()
