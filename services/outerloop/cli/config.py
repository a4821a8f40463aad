"""The settings, as every command reads them: a name that no service knows is refused by all of them."""

from outerloop.draft.settings import DraftSettings
from outerloop.gate.settings import GateSettings
from outerloop.ingest.settings import IngestSettings
from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.settings import Settings, load
from outerloop.triage.settings import TriageSettings

# Loaded here so that all variables are known, whichever command runs.
OF_SERVICES = (IngestSettings, TriageSettings, DraftSettings, ProposeSettings, GateSettings)


def common() -> Settings:
    """What all services share: addresses, repositories."""
    return load(Settings)
