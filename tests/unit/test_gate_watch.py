"""What production proves of a release: the error of looking all the time, and what it takes to be sure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from outerloop.gate.core import watch
from outerloop.gate.core.watch import (
    ALPHA_MODE,
    ALPHA_ROLLBACK,
    LEAST_FAILURES,
    LEAST_SPREAD,
    NONE,
    OTHER_FAILURES,
    UNNAMED_OVER,
    UNNAMED_SPELLS,
    Counts,
    Measure,
    bar_of,
    is_closed,
    is_regressed,
    is_widespread,
    limit,
    log_e_above,
    recurs,
    worst,
)
from outerloop.gate.production.lineage import Later, Scope, line_of, scope_of
from outerloop.store.releases import Shipped

BEFORE = Counts(1000, 20)


def ever(proven: Callable[[Counts], bool], rate: float, traces: int) -> float:
    """P(it is proven after some trace), exactly: one looks after each."""
    open_, found = np.ones(1), 0.0
    for n in range(1, traces + 1):
        moved = np.zeros(n + 1)
        moved[1:] += open_ * rate
        moved[:-1] += open_ * (1 - rate)
        hit = np.array([moved[f] > 0 and proven(Counts(n, f)) for f in range(n + 1)])
        found += float(moved[hit].sum())
        moved[hit] = 0
        open_ = moved
    return found


@pytest.mark.parametrize("bar", [0.02, 0.3])
def test_looking_after_every_trace_does_not_raise_the_error(bar: float) -> None:
    def proven(since: Counts) -> bool:
        return log_e_above(bar, since) >= math.log(20)

    assert 0.005 < ever(proven, bar, 250) <= 0.05
    assert ever(proven, bar / 2, 250) < 0.01
    assert ever(proven, min(0.9, 4 * bar), 250) > 0.9

    def too_many(since: Counts) -> bool:  # what people do instead: two standard errors, at every look
        return since.failures > bar * since.traces + 2 * math.sqrt(bar * (1 - bar) * since.traces)

    assert ever(too_many, bar, 250) > 0.1


def test_what_is_said_of_the_mode_is_wrong_as_often_as_it_says() -> None:
    before = Counts(400, 80)
    bar = bar_of(before)
    assert 0.05 < bar < 0.1
    assert ever(lambda since: is_closed(bar, since), bar, 300) <= ALPHA_MODE
    assert ever(lambda since: is_regressed(bar, before, since, 9), bar, 300) <= ALPHA_MODE
    assert ever(lambda since: is_closed(bar, since), 0.001, 300) > 0.95
    assert ever(lambda since: is_regressed(bar, before, since, 9), 0.2, 300) > 0.99


def lives(rates: dict[str, tuple[float, float]], count: int, traces: int, step: int = 20) -> float:
    """The share of releases that are rolled back, looked at every `step` traces; rates before and since."""
    dice = np.random.default_rng(7)
    undone = 0
    for _ in range(count):
        before = {m: Counts(1000, int(dice.binomial(1000, was))) for m, (was, _) in rates.items()}
        since = {m: np.cumsum(dice.random(traces) < now) for m, (_, now) in rates.items()}
        undone += any(
            worst([Measure(m, before[m], Counts(n, int(since[m][n - 1])), 9) for m in rates])
            for n in range(step, traces + 1, step)
        )
    return undone / count


def test_a_release_that_changes_nothing_stays_and_one_that_hurts_goes() -> None:
    same = {"a": (0.02, 0.02), "b": (0.2, 0.2), "c": (0.001, 0.001), OTHER_FAILURES: (0.25, 0.25)}
    assert lives(same, 150, 1000) <= ALPHA_ROLLBACK
    assert lives(same | {"a": (0.02, 0.15)}, 30, 400) > 0.9
    # Worse by less than what is worth a rollback: the margin is not proven to be exceeded.
    assert lives(same | {"b": (0.2, 0.22)}, 30, 1000) == 0


def test_the_bound_is_not_the_margins_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    for margin in ("LEAST_MARGIN", "RELATIVE_MARGIN"):
        monkeypatch.setattr(watch, margin, 0.0)
    same = {"a": (0.02, 0.02), "b": (0.2, 0.2), OTHER_FAILURES: (0.25, 0.25)}
    assert lives(same, 300, 1000) <= ALPHA_ROLLBACK


def test_the_levels_of_all_measures_together_are_that_of_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[float] = []
    monkeypatch.setattr(watch, "_worse", lambda _, level: levels.append(level))
    one = Measure("m", BEFORE, BEFORE, 9)
    worst([one] * 4 + [replace(one, new=True)] * 500)
    assert len(levels) == 504
    assert ALPHA_ROLLBACK * 0.99 < sum(levels) <= ALPHA_ROLLBACK


def test_nothing_follows_from_few_traces_or_from_one_spell() -> None:
    bad = Measure("m", Counts(2000, 0), Counts(LEAST_FAILURES, LEAST_FAILURES), LEAST_SPREAD)
    assert worst([bad])
    assert worst([replace(bad, since=Counts(LEAST_FAILURES - 1, LEAST_FAILURES - 1))]) is None
    assert worst([replace(bad, spread=LEAST_SPREAD - 1)]) is None
    assert worst([replace(bad, before=NONE, since=Counts(500, 500))]) is None  # nothing to compare it with
    assert worst([]) is None


def test_one_customer_is_no_proof_whether_or_not_sessions_are_named() -> None:
    spells, over = UNNAMED_SPELLS, UNNAMED_OVER
    assert is_widespread(LEAST_SPREAD, 0, timedelta())
    assert not is_widespread(LEAST_SPREAD - 1, 0, timedelta())
    assert is_widespread(0, spells, over)
    assert not is_widespread(LEAST_SPREAD - 1, spells - 1, 2 * over)
    assert not is_widespread(0, 10 * spells, over / 2)


def test_the_measure_that_is_worst_by_far_is_named() -> None:
    some = Measure("some", BEFORE, Counts(200, 20), 9)
    most = Measure("most", BEFORE, Counts(200, 120), 9)
    found = worst([some, most])
    assert found is not None
    assert found.measure.name == "most"
    assert 0.02 < found.bar < 0.06


def test_where_others_fail_too_it_is_not_the_release() -> None:
    outage = Measure("tool away", BEFORE, Counts(100, 60), 9)
    assert worst([outage])
    assert worst([replace(outage, beside=Counts(300, 180))]) is None
    assert worst([replace(outage, beside=Counts(300, 6))])


def test_a_limit_is_above_what_was_by_its_doubt_and_a_margin() -> None:
    assert limit(NONE, 0.001) > 1
    assert limit(Counts(10, 10), 0.001) > 1
    few, many = limit(Counts(100, 2), 0.001), limit(Counts(10_000, 200), 0.001)
    assert few > many > 0.03
    assert limit(Counts(1000, 0), 0.001) == pytest.approx(1 - 0.001 ** (1 / 1000) + 0.01, rel=1e-6)


def test_a_mode_without_a_past_has_no_bar() -> None:
    assert bar_of(Counts(500, 0)) == 0
    assert not is_closed(0, Counts(10_000, 0))
    assert not is_regressed(0, Counts(500, 0), Counts(100, 100), 9)


def test_a_mode_that_comes_back_is_noticed_however_long_it_was_away() -> None:
    before, quiet = Counts(400, 80), [Counts(200, 0)] * 300
    bar = bar_of(before)
    assert recurs(bar, before, quiet) is None
    assert recurs(bar, before, [*quiet, Counts(1, 1)]) is None
    back = recurs(bar, before, [*quiet, Counts(100, 18), Counts(100, 21)])
    assert back is not None
    assert back.failures >= 18
    assert back.traces <= 200
    # The same counts over the whole life would prove nothing.
    assert not is_regressed(bar, before, Counts(60_200, 39), 9)


def test_a_recurrence_is_noticed_where_traffic_is_thin_and_seldom_without_one() -> None:
    before, dice = Counts(400, 80), np.random.default_rng(3)
    bar = bar_of(before)
    thin = [Counts(5, 1)] * 60
    assert recurs(bar, before, [Counts(5, 0)] * 100 + thin)
    alarms = sum(
        recurs(bar, before, [Counts(20, int(dice.binomial(20, bar))) for _ in range(100)]) is not None
        for _ in range(100)
    )
    assert alarms <= 10  # a hundred days at the bar, and a thousand to a false alarm


C = {name: name * 40 for name in "abcdef"}
# The team branched off at a, before the release b, and merged it as d; c is on b; e is the next release.
HISTORY = {
    C["e"]: (C["d"],),
    C["d"]: (C["c"], C["f"]),
    C["c"]: (C["b"],),
    C["b"]: (C["a"],),
    C["f"]: (C["a"],),
    C["a"]: (),
}
AT = datetime(2026, 11, 1, tzinfo=UTC)
RELEASE = Shipped("d1", "c1", "desk", "m1", "e1", C["b"], AT)


NEXT = Later(replace(RELEASE, commit=C["e"], at=AT + timedelta(hours=2)))


def scope(versions: Sequence[str], *later: Later) -> Scope:
    line = line_of(HISTORY, RELEASE.commit, later)
    assert line is not None
    hour = timedelta(hours=1)
    return scope_of(RELEASE, later, line, versions, now=AT + timedelta(days=1), deployed_after=hour)


def test_a_release_has_the_traces_of_its_commit_and_of_what_was_built_on_it() -> None:
    versions = [C["a"], "bbbbbbb", C["c"][:12], C["d"], C["e"], C["f"], "bbbbbb", "1.4.2", "0" * 40]
    found = scope(versions, NEXT)
    assert found.own.versions == ("bbbbbbb", C["c"][:12], C["d"])
    assert found.holding.versions == ("bbbbbbb", C["c"][:12], C["d"], C["e"])
    assert found.beside is not None
    assert found.beside.versions == (C["a"], C["f"])
    assert (found.own.start, found.own.end) == (AT, AT + timedelta(days=1, minutes=-1))


def test_where_no_version_names_a_commit_a_release_runs_everywhere_after_a_while() -> None:
    for versions in ([], ["1.4.2", "20261101"]):
        found = scope(versions, NEXT)
        assert (found.own.start, found.own.end) == (AT + timedelta(hours=1), AT + timedelta(hours=2))
        assert found.holding.end == AT + timedelta(days=1, minutes=-1)
        assert (found.own.versions, found.beside) == (None, None)


def test_runs_that_may_not_have_ended_do_not_count_and_neither_do_those_that_failed_quickly() -> None:
    line, hour = line_of(HISTORY, RELEASE.commit, []), timedelta(hours=1)
    assert line is not None
    now = AT + timedelta(days=1)
    for versions in ([], [C["b"]]):
        found = scope_of(RELEASE, [], line, versions, now=now, deployed_after=hour, slow=hour, said=2 * hour)
        assert found.own.end == now - hour - timedelta(minutes=1)
        assert found.holding.end == found.own.end - 2 * hour


def test_what_came_between_and_was_undone_is_not_its_doing() -> None:
    undone = Later(replace(NEXT.shipped, commit=C["c"]), C["e"], AT + timedelta(hours=5))
    assert scope([C["b"], C["c"], C["d"], C["e"]], undone).own.versions == (C["b"], C["e"])
    assert scope([C["b"], C["c"], C["e"]], replace(undone, undone_by="")).own.versions == (C["b"],)
    assert scope([], undone).own.start == AT + timedelta(hours=6)
    assert scope([], undone).holding.start == AT + timedelta(hours=1)


def test_what_others_have_pushed_since_is_told_from_the_release_itself() -> None:
    found = scope([C["b"], C["c"], C["d"], C["e"]])
    assert found.alone is not None
    assert found.alone.versions == (C["b"],)
    assert scope([]).alone is None
    # Nobody but us: the next release, which was undone by the commit after it.
    history = {C["e"]: (C["c"],), C["c"]: (C["b"],), C["b"]: (C["a"],), C["a"]: ()}
    undone = Later(replace(NEXT.shipped, commit=C["c"]), C["e"], AT + timedelta(hours=5))
    line = line_of(history, C["b"], [undone])
    assert line is not None
    assert line.alone == line.own == {C["b"], C["e"]}
    now, hour = AT + timedelta(days=1), timedelta(hours=1)
    unnamed = scope_of(RELEASE, [undone], line, [], now=now, deployed_after=hour)
    assert unnamed.alone == unnamed.own
    # It was undone on top of what the team had pushed meanwhile.
    pushed = {C["e"]: (C["f"],), C["f"]: (C["c"],)}
    line = line_of(pushed | {c: history[c] for c in (C["c"], C["b"], C["a"])}, C["b"], [undone])
    assert line is not None
    assert line.own - line.alone == {C["e"]}


def test_what_is_not_on_the_branch_has_no_line() -> None:
    assert line_of(HISTORY, "0" * 40, []) is None
    assert line_of({}, C["b"], []) is None
