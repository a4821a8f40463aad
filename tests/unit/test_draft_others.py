"""What names a case, with another put in its place everywhere; and where nothing is put."""

import json
from typing import Any

import pytest

from outerloop.draft.core.measure import Draft, Failing
from outerloop.draft.core.others import amounts_of, dates_of, every, ids_of, names_of, put
from outerloop.draft.core.proof import draft
from outerloop.draft.core.variants import recast, rewritten
from outerloop.evals.grade import grade
from outerloop.trace.model import Trace
from outerloop.triage.core.signals import signals_of
from samples import Call, run, trace

ORDER = {
    "order_id": "A-1031",
    "customer": {"name": "Emma Smith", "email": "emma.smith@example.org"},
    "user_id": "emma_smith_9957",
    "total": 42.5,
    "placed": "2026-05-04",
    "due": "2026-05-11",
}
WISH = "I am Emma Smith. Refund 42.50 for order A-1031 of 2026-05-04, please"


def ran(wish: str = WISH, order: dict[str, Any] | None = None, answer: str = "Done.") -> Trace:
    order = ORDER if order is None else order
    calls = (
        Call("get_order", {"order_id": "A-1031", "placed": "2026-05-04"}, json.dumps(order)),
        Call("refund_order", {"order_id": "A-1031", "amount": order.get("total", 42.5)}, "ok"),
    )
    return trace(run(1, wish, *calls, answer=answer))


def test_each_kind_is_put_in_its_place() -> None:
    one = ran()
    (number, other_number), *_ = ids_of(one, "s").items()
    assert number == "1031"
    assert len(other_number) == 4
    names = names_of(one, "s")
    assert set(names) == {"Emma", "Smith"}
    amounts = amounts_of(one, "s")
    assert set(amounts) == {"42.50", "42.5"}
    assert float(amounts["42.50"]) == float(amounts["42.5"]) != 42.5
    assert amounts["42.50"].startswith("4")
    assert amounts["42.50"].endswith(".50")
    dates = dates_of(one, "s")
    assert set(dates) == {"2026-05-04", "2026-05-11"}
    assert dates["2026-05-11"] == {"2026-05-04": "2026-05-11"}.get(dates["2026-05-04"], dates["2026-05-11"])


def test_all_of_it_is_put_everywhere_and_the_same_seed_gives_the_same() -> None:
    one = ran()
    (all_, people, ids) = every(one, "s")
    assert every(one, "s") == [all_, people, ids]
    assert every(one, "t")[0] != all_
    other = rewritten(one, all_)
    text = "\n".join(f"{s.input}{s.arguments}{s.result}" for s in other.spans)
    for gone in ("mma", "mith", "1031", "42.5", "2026-05-04"):
        assert gone.lower() not in text.lower()
    first, last = all_["Emma"], all_["Smith"]
    found = json.loads(other.tool_calls[0].result)
    assert found["customer"] == {
        "name": f"{first} {last}",
        "email": f"{first}.{last}@example.org".lower(),
    }
    assert found["user_id"] == f"{first}_{last}_9957".lower()
    assert f"I am {first} {last}." in other.request
    assert found["total"] == other.tool_calls[1].arguments["amount"] == float(all_["42.50"])


@pytest.mark.parametrize(
    ("text", "put_there"),
    [
        ("EMMA, Emma, emma, Emmas", "NORA, Nora, nora, Emmas"),
        ("42.50, 142.50, 42.505, $42.50!", "47.50, 142.50, 42.505, $47.50!"),
        ("2026-05-04T10:00, 12026-05-04", "2026-05-11T10:00, 12026-05-04"),
    ],
)
def test_only_whole_words_and_numbers_are_replaced(text: str, put_there: str) -> None:
    others = {"Emma": "Nora", "42.50": "47.50", "2026-05-04": "2026-05-11"}
    assert put(text, others) == put_there
    assert put(text, {}) == text


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        pytest.param("I am Mark Smith. I must mark it", "Mark Smith", id="a name that is a word"),
        pytest.param("I am Emma", "Li Wei", id="too short to be told"),
        pytest.param("Refund it please", "Emma Smith", id="not in the request"),
        pytest.param("The Emmas want it, says Emma Smith", "Emma Smith", id="within another word"),
    ],
)
def test_a_name_in_doubt_stays(wish: str, name: str) -> None:
    order = {"customer": {"name": name, "email": "x@example.org"}}
    assert names_of(ran(wish, order), "s") == {}


def test_the_name_of_a_thing_is_no_persons() -> None:
    assert names_of(ran("Where is my Desk Lamp?", {"name": "Desk Lamp", "sku": "L-1"}), "s") == {}


@pytest.mark.parametrize(
    "order",
    [
        pytest.param({"total": 42.5, "items": [{"price": 20.0}, {"price": 22.5}]}, id="a sum"),
        pytest.param({"total": 42.5, "paid": 50.0, "left": 7.5}, id="a difference"),
        pytest.param({"total": 42.5, "price": 8.5, "count": 5}, id="a product"),
        pytest.param({"total": 42.5, "rate": 2.0, "in_kind": 85.0}, id="of which another is a product"),
        pytest.param({"total": 42.5, "total_cents": 4250}, id="in cents, too"),
        pytest.param({"weight": 42.5, "total": 1.0}, id="no money"),
    ],
)
def test_an_amount_in_doubt_stays(order: dict[str, Any]) -> None:
    calls = (Call("get_order", {"order_id": "A-1031"}, json.dumps(order)),)
    assert amounts_of(trace(run(1, WISH, *calls)), "s") == {}


@pytest.mark.parametrize(
    "wish",
    [
        "Refund A-1031 of 2026-05-04, which came yesterday",
        "Refund A-1031 of 2026-05-04, due May 11",
        "Refund A-1031 of 2026-05-04, due on the 11th of May",
        "Refund A-1031 of last month",
        "Refund A-1031 of 2026-05-44",
    ],
)
def test_a_date_in_doubt_stays(wish: str) -> None:
    assert dates_of(ran(wish, ORDER | {"bad": "2026-05-44"} if "44" in wish else ORDER), "s") == {}


def test_a_date_that_a_tool_only_returned_stays() -> None:
    calls = (Call("get_order", {"order_id": "A-1031"}, json.dumps(ORDER)),)
    assert dates_of(trace(run(1, WISH, *calls)), "s") == {}


def test_a_customer_has_a_name() -> None:
    assert set(names_of(ran("I am Elif Berg", {"customer": "Elif Berg"}), "s")) == {"Elif", "Berg"}


def test_may_is_also_a_verb() -> None:
    assert dates_of(ran("May I have order A-1031 of 2026-05-04? You may mark it"), "s")


def test_a_variant_is_proven_on_the_healthy_run_that_is_rewritten_with_it() -> None:
    failed = ran(answer="")
    good = [trace(run(n, WISH, *_calls())) for n in range(100, 105)]
    made = draft([Failing(failed, signals_of(failed, [])[0])], good)
    assert isinstance(made, Draft)
    held = recast(made, good, "eval-1")
    assert held is not None
    variant = held.variant
    said = json.dumps(variant.model_dump(mode="json")) + held.cassette.to_jsonl()
    for gone in ("Emma", "1031", "42.5", "2026-05-04"):
        assert gone not in said
    others = every(failed, "eval-1")[0]
    assert not grade(variant.expect, rewritten(failed, others)).passed
    assert all(grade(variant.expect, rewritten(run_, others)).passed for run_ in good)
    # Another opening of the mode gets another one.
    again = recast(made, good, "eval-2")
    assert again is not None
    assert again.content != held.content


def _calls() -> tuple[Call, ...]:
    return (
        Call("get_order", {"order_id": "A-1031", "placed": "2026-05-04"}, json.dumps(ORDER)),
        Call("refund_order", {"order_id": "A-1031", "amount": 42.5}, "ok"),
    )
