"""What becomes of a record when its handler succeeds, fails, cannot, or fails for nearly everything."""

from collections.abc import Callable, Sequence

import pytest

from outerloop.runtime.delivery import Deliverer, Limits, PartlyPoisonError
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import DeadLetterFloodError, OutageError, PoisonError

LIMITS = Limits(retries=3, first_wait=1.0, longest_wait=3.0, flood_run=5, flood_window=20, flood_share=0.5)


class Service:
    """A handler that does to each record what `does` says, and everything that was seen of it."""

    def __init__(self, does: Callable[[bytes], None], limits: Limits = LIMITS) -> None:
        self.batches: list[list[bytes]] = []
        self.handled: list[bytes] = []
        self.letters: list[tuple[bytes, str, int]] = []
        self.waits: list[float] = []
        self.waited_for: list[str] = []
        self.offset = 0
        self._does = does
        self.deliverer = Deliverer("tests", self._handle, self._dead_letter, limits, self._sleep)

    async def deliver(self, *values: bytes, more: bool = False) -> bool:
        """Whether the offsets may be committed, as the bus decides it; `more`: there are records to read."""
        offsets = range(self.offset, self.offset + len(values))
        self.offset += len(values)
        await self.deliverer.deliver(
            [Delivery("t", 0, n, None, v) for n, v in zip(offsets, values, strict=True)]
        )
        if self.deliverer.run and more:
            return False
        await self.deliverer.release()
        return True

    async def _handle(self, batch: Sequence[Delivery]) -> None:
        values = [record.value or b"" for record in batch]
        self.batches.append(values)
        for value in values:
            self._does(value)
        self.handled += values

    async def _dead_letter(self, record: Delivery, error: Exception, attempts: int) -> None:
        self.letters.append((record.value or b"", str(error), attempts))

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.waited_for.append(self.deliverer.waiting_for)


def fails_on(*bad: bytes, error: Exception | None = None) -> Callable[[bytes], None]:
    def does(value: bytes) -> None:
        if value in bad:
            raise error or ValueError("a bug")

    return does


def fails_first(times: int, error: Exception) -> Callable[[bytes], None]:
    """Fails so many times, whatever it is given."""
    left = iter([error] * times)

    def does(_: bytes) -> None:
        if raised := next(left, None):
            raise raised

    return does


async def test_a_batch_that_succeeds_is_handled_once_and_whole() -> None:
    service = Service(lambda _: None)
    await service.deliver(b"1", b"2", b"3")
    assert service.batches == [[b"1", b"2", b"3"]]
    assert (service.letters, service.waits) == ([], [])


async def test_a_bug_is_retried_with_growing_waits_and_then_dead_lettered() -> None:
    service = Service(fails_on(b"bad"))
    await service.deliver(b"bad")
    assert service.batches == [[b"bad"]] * 4
    assert service.letters == [(b"bad", "a bug", 4)]
    assert service.waits == [1.0, 2.0, 3.0]


async def test_without_retries_the_first_failure_is_the_last() -> None:
    service = Service(fails_on(b"bad"), Limits(retries=0))
    await service.deliver(b"bad")
    assert service.letters == [(b"bad", "a bug", 1)]
    assert service.waits == []


async def test_a_retry_that_succeeds_leaves_no_letter() -> None:
    service = Service(fails_first(2, ValueError("a race")))
    await service.deliver(b"1")
    assert service.handled == [b"1"]
    assert service.letters == []


async def test_poison_is_dead_lettered_at_once() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("not OTLP")))
    await service.deliver(b"bad")
    assert service.letters == [(b"bad", "not OTLP", 1)]
    assert service.waits == []


async def test_poison_that_shows_only_on_a_retry_ends_the_retries() -> None:
    errors = iter([ValueError("first"), PoisonError("then")])
    service = Service(lambda _: (_ for _ in ()).throw(next(errors)))
    await service.deliver(b"bad")
    assert service.letters == [(b"bad", "then", 2)]


async def test_one_bad_record_costs_only_itself() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("no")))
    await service.deliver(b"1", b"bad", b"2", b"3")
    assert service.handled == [b"1", b"2", b"3"]
    assert [value for value, _, _ in service.letters] == [b"bad"]


class Knowing(Service):
    """A handler that says which records are poison, when all others are handled."""

    async def _handle(self, batch: Sequence[Delivery]) -> None:
        self.batches.append([record.value or b"" for record in batch])
        poisoned = {str(r): PoisonError("no good") for r in batch if r.value == b"bad"}
        self.handled += [r.value or b"" for r in batch if str(r) not in poisoned]
        if poisoned:
            raise PartlyPoisonError(poisoned)


async def test_what_a_handler_knows_to_be_poison_is_dead_lettered_and_the_rest_not_done_again() -> None:
    service = Knowing(lambda _: None)
    await service.deliver(b"1", b"bad", b"2")
    assert service.batches == [[b"1", b"bad", b"2"]]
    assert (service.handled, service.letters) == ([b"1", b"2"], [(b"bad", "no good", 1)])


async def test_a_run_of_what_is_known_to_be_poison_is_a_flood_too() -> None:
    service = Knowing(lambda _: None)
    with pytest.raises(DeadLetterFloodError):
        await service.deliver(*[b"bad"] * LIMITS.flood_run)
    assert service.letters == []
    await Knowing(lambda _: None).deliver(*[b"bad", b"1"] * LIMITS.flood_run)


async def test_an_outage_is_waited_for_and_never_dead_lettered() -> None:
    service = Service(fails_first(50, OutageError("ClickHouse is away")))
    await service.deliver(b"1", b"2")
    assert service.handled == [b"1", b"2"]
    assert service.batches == [[b"1", b"2"]] * 51  # the batch stays whole: nothing is wrong with it
    assert service.letters == []
    assert service.waited_for == ["ClickHouse is away"] * 50
    assert service.deliverer.waiting_for == ""
    assert 0.8 <= service.waits[0] <= 1.2
    assert all(2.4 <= wait <= 3.6 for wait in service.waits[2:])


async def test_an_outage_does_not_use_up_the_retries() -> None:
    errors = iter(
        [ValueError("1"), OutageError("o"), ValueError("2"), OutageError("o"), ValueError("3"), None]
    )

    def does(_: bytes) -> None:
        if error := next(errors):
            raise error

    service = Service(does)
    await service.deliver(b"1")
    assert service.handled == [b"1"]
    assert service.letters == []


async def test_a_run_of_failures_stops_before_its_last_record_is_a_letter() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("schema")))
    await service.deliver(*[b"ok"] * 3, *[b"bad"] * 4, b"ok")
    assert len(service.letters) == 4
    await service.deliver(*[b"bad"] * 4)
    assert len(service.letters) == 8
    with pytest.raises(DeadLetterFloodError, match=r"the last: schema"):
        await service.deliver(b"bad")
    assert len(service.letters) == 8


@pytest.mark.parametrize("at_most", [1, 2, 7])
async def test_of_a_flood_nothing_is_a_letter_or_committed_however_often_it_starts(at_most: int) -> None:
    flood = [b"bad"] * 20
    for _ in range(3):
        service = Service(fails_on(b"bad", error=PoisonError("schema")))

        async def drain(service: Service = service) -> None:
            for start in range(0, len(flood), at_most):
                assert not await service.deliver(*flood[start : start + at_most], more=True)

        with pytest.raises(DeadLetterFloodError):
            await drain()
        assert service.letters == []


async def test_what_is_held_back_goes_out_with_the_record_that_breaks_the_run() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("no")))
    assert await service.deliver(b"ok", b"bad", b"ok", more=True)
    assert len(service.letters) == 1
    assert not await service.deliver(b"ok", b"bad", more=True)
    assert not await service.deliver(b"bad", b"bad", more=True)
    assert len(service.letters) == 1
    assert await service.deliver(b"ok", more=True)
    assert len(service.letters) == 4
    await service.deliver(b"ok")
    assert len(service.letters) == 4


async def test_what_is_held_back_and_comes_again_counts_once() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("no")))
    for _ in range(3):
        service.offset = 0
        assert not await service.deliver(*[b"bad"] * 3, more=True)
    service.offset = 2
    service._does = lambda _: None  # mended meanwhile
    assert await service.deliver(b"bad", more=True)
    assert len(service.letters) == 2


async def test_a_share_of_failures_stops_too_once_the_window_is_full() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("schema")))
    half = [b"bad", b"ok"] * 10
    await service.deliver(*half)
    assert len(service.letters) == 10  # half of 20 is not more than half
    await service.deliver(b"bad")  # takes the place of the oldest bad one
    with pytest.raises(DeadLetterFloodError, match=r"11 of the last 20 records could not be handled"):
        await service.deliver(b"bad")


async def test_few_failures_among_many_never_stop() -> None:
    service = Service(fails_on(b"bad", error=PoisonError("no")))
    for _ in range(30):
        await service.deliver(b"ok", b"ok", b"bad")
    assert len(service.letters) == 30
