"""A purse: no call that could pass what is left, and each on record before it is made."""

import json

import pytest

from outerloop.propose.budget import share
from outerloop.propose.purse import Purse
from outerloop.propose.trying import ByPrice
from outerloop.runtime.errors import OutageError
from outerloop.runtime.prices import Usage as Tokens
from outerloop.runtime.prices import known_prices
from outerloop.trial.usage import Usage


def test_an_attempts_money_is_for_its_candidates_and_for_the_runs_that_choose_one() -> None:
    assert share(2.0, going=1, candidates=1) == 2.0  # begun, or gone on with
    assert share(2.0, going=3, candidates=3) == 0.5
    assert share(2.0, going=1, candidates=3) == 1.0  # two of them have ended
    assert share(2.0, going=0, candidates=3) == 2.0  # the runs alone are left


async def test_no_call_is_made_that_could_pass_what_is_left() -> None:
    purse = Purse(1.0)
    assert await purse.begin(0.6)
    assert not await purse.begin(0.6)  # the other one might cost all that it can
    assert purse.empty
    purse.end(0.6, 0.1)
    assert await purse.begin(0.6)
    purse.end(0.6, 0.6)
    assert purse.usd == 0.7
    assert await purse.begin(0.3)
    assert not await purse.begin(0.01)


async def test_each_call_is_told_before_it_is_made_as_the_dearest_that_it_can_be() -> None:
    told: list[float] = []

    async def tell(usd: float) -> None:
        told.append(usd)

    purse = Purse(tell=tell)
    await purse.begin(1.0)
    await purse.begin(0.5)  # at the same time
    purse.end(1.0, 0.25)
    purse.end(0.5, 0.25)
    await purse.begin(1.0)
    assert told == [1.0, 1.5, 1.5]


async def test_a_call_that_cannot_be_told_is_not_made_and_takes_nothing() -> None:
    async def away(_: float) -> None:
        raise OutageError("ClickHouse is away")

    purse = Purse(1.0, away)
    for _ in range(3):  # the agent asks again
        with pytest.raises(OutageError):
            await purse.begin(0.6)
    assert (purse.usd, purse.empty) == (0.0, False)


@pytest.mark.parametrize(
    ("said", "priced"),
    [
        (
            {"model": "claude-haiku-4-5", "max_tokens": 100},
            "claude-haiku-4-5",
        ),  # a judge's, or another of its own
        ({"model": "claude-haiku-4-5-20251001", "max_tokens": 100}, "claude-haiku-4-5"),
        ({"model": "unheard-of", "max_tokens": 100}, "claude-sonnet-5-5"),
        ({"model": ["claude-haiku-4-5"], "max_tokens": 100}, "claude-sonnet-5-5"),
    ],
)
async def test_a_call_costs_what_its_model_does(said: object, priced: str) -> None:
    purse, price = Purse(), known_prices()[priced]
    payer = ByPrice(purse, ["claude-sonnet-5-5", "claude-haiku-4-5", "its-own"])
    body = json.dumps(said).encode()
    for used, usd in (
        (Usage(1_000, 10), price.usd(Tokens(input=1_000, output=10))),
        (None, price.most_usd(len(body), 100)),
    ):
        before = purse.usd
        settle = await payer.begin(body)
        assert settle
        settle(used)
        assert purse.usd - before == pytest.approx(usd)


async def test_an_agents_model_with_its_date_is_paid_for() -> None:
    purse = Purse(0.0)
    assert await ByPrice(purse, ["claude-haiku-4-5-20251001"]).begin(b'{"model": "alias"}') is None


async def test_where_no_price_is_known_nothing_is_counted() -> None:
    purse = Purse(0.0)
    settle = await ByPrice(purse, ["its-own"]).begin(b"[]")
    assert settle
    settle(Usage(1_000, 10))
    assert purse.usd == 0
