"""Terms: what every trial depends on besides the tree and the eval, as a hash that verdicts are bound to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version

from outerloop.evals.grade import GRADER
from outerloop.gate.settings import GateSettings
from outerloop.trial.backend import check_limits_of, isolation_of, limits_of

GATE_VERSION = f"outerloop {version('outerloop')}; sequential claims/1"


def terms_sha256(settings: GateSettings, more: Mapping[str, str] | None = None) -> str:
    """The hash of the gate's version and of the settings that trials run under, and of `more`."""
    said = {
        "gate": GATE_VERSION,
        "sandbox": isolation_of(settings),
        "grader": GRADER,
        "model": settings.anthropic_base_url,
        "model_calls": settings.gate_model_calls,
        "trial": asdict(limits_of(settings)),
        "checks": asdict(check_limits_of(settings)),
        **(more or {}),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
