"""Whether a judge may decide anything: only once people's labels say that it is good enough. Pure.

The rule: judge and people have both spoken of at least 20 traces, of which people call 5 good and 5 bad;
Cohen's kappa is at least .6; and of the traces that the judge calls bad, people call bad at least the share
that OUTERLOOP_TRIAGE_JUDGE_PRECISION says. The first two are what an eval asks of its judge, too.
"""

from outerloop.evals.expect.judged import LEAST_KAPPA, LEAST_LABELLED, LEAST_OF_EACH, Agreement
from outerloop.store.opinions import Standing


def agreement_of(standing: Standing) -> Agreement:
    """A judge's confusion matrix; that a trace is good is what holds."""
    return Agreement(
        judge_sha256=standing.prompt,
        both_hold=standing.good_good,
        people_only=standing.good_bad,
        judge_only=standing.bad_good,
        neither=standing.bad_bad,
    )


def precision_of(standing: Standing) -> float | None:
    """Of the labelled traces that a judge calls bad, the share that people call so; None: there are none."""
    said_bad = standing.good_bad + standing.bad_bad
    return standing.bad_bad / said_bad if said_bad else None


def lacks(standing: Standing, least_precision: float) -> str:
    """Why a judge decides nothing, in a clause; "" if it does."""
    good, bad = standing.good_good + standing.good_bad, standing.bad_good + standing.bad_bad
    if good + bad < LEAST_LABELLED or min(good, bad) < LEAST_OF_EACH:
        return (
            f"people have labelled {good} good and {bad} bad traces that it has judged: it takes"
            f" {LEAST_LABELLED}, of each kind {LEAST_OF_EACH}"
        )
    kappa = agreement_of(standing).kappa
    if kappa < LEAST_KAPPA:
        return f"it hardly agrees with people: kappa is {kappa:.2f}, below {LEAST_KAPPA}"
    precision = precision_of(standing) or 0.0
    if precision < least_precision:
        return (
            f"people call bad {precision:.2f} of what it calls bad: less than {least_precision:g}"
            " (OUTERLOOP_TRIAGE_JUDGE_PRECISION)"
        )
    return ""
