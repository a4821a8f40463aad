"""Which sandbox and which Python environment trials use, by the settings."""

import sys
from pathlib import Path

from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import PREFIX, ModelSettings
from outerloop.trial.isolation import Bubblewrap, Unconfined
from outerloop.trial.kubernetes import KubernetesSandbox
from outerloop.trial.kubernetes_api import Cluster
from outerloop.trial.kubernetes_job import Pods
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Limits


def sandbox_of(settings: ModelSettings) -> Sandbox:
    """The sandbox that the settings ask for.

    Raises:
        UserError: when it is not there; the sentence says how to get it.
    """
    if settings.sandbox == "kubernetes":
        return _kubernetes(settings)
    return Sandbox(Unconfined() if settings.sandbox == "none" else Bubblewrap())


def isolation_of(settings: ModelSettings) -> str:
    """What kept trials apart, for the record: bubblewrap, none, kubernetes, or kubernetes/RUNTIME_CLASS."""
    by = settings.trial_runtime_class if settings.sandbox == "kubernetes" else ""
    return f"{settings.sandbox}/{by}" if by else settings.sandbox


def environment_of(settings: ModelSettings) -> Path:
    """The Python environment of agents."""
    return settings.agent_environment or Path(sys.prefix)


def limits_of(settings: ModelSettings) -> Limits:
    """What one run of an agent may use."""
    return Limits(seconds=settings.trial_seconds, start_seconds=_start_seconds(settings))


def check_limits_of(settings: ModelSettings) -> Limits:
    """What one run of an agent's own tests may use."""
    return Limits(seconds=settings.checks_seconds, start_seconds=_start_seconds(settings))


def _start_seconds(settings: ModelSettings) -> float:
    usual = 180.0 if settings.sandbox == "kubernetes" else 20.0  # a node may have to come, and an image
    return settings.trial_start_seconds or usual


def _kubernetes(settings: ModelSettings) -> KubernetesSandbox:
    for name in ("trial_image", "trial_host"):
        if not getattr(settings, name):
            raise UserError(f"{PREFIX}{name.upper()}: must be set where {PREFIX}SANDBOX is kubernetes")
    if settings.trial_runtime_class is None:
        raise UserError(
            f"{PREFIX}TRIAL_RUNTIME_CLASS: must name a RuntimeClass that isolates (gvisor, kata), or be "
            "empty for the nodes' own runtime, which shares its kernel with whatever a trial runs"
        )
    cluster = Cluster(
        url=settings.kubernetes_api.rstrip("/"),
        account=settings.kubernetes_account,
        namespace=settings.trial_namespace,
    )
    pods = Pods(
        image=settings.trial_image, runtime_class=settings.trial_runtime_class, cpu=settings.trial_cpu
    )
    return KubernetesSandbox(cluster, pods, settings.trial_host, settings.trial_port)
