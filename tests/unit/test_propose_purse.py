"""A purse: no call that could pass what is left, and each on record before it is made."""

from outerloop.propose.budget import share
from outerloop.propose.purse import Purse


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
