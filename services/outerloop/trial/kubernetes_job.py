"""The Kubernetes Job of one run of a command: one pod, tried once, under pod security `restricted`.

The pod has no service account, no names of services, no name lookups, and one way out, to its worker; that
it has no other is for the namespace's NetworkPolicy to see to, which selects by the labels here.
"""

import hashlib
import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outerloop.trial.isolation import AGENT_DIR
from outerloop.trial.spec import MIB, Spec

CONTAINER = "agent"
RUN = "outerloop/run"  # the label that one run's pod has and no other
ORPHAN_SECONDS = 3600  # in which a run may wait for the model; then whatever is left of it is ended
_KEPT_SECONDS = 60  # a Job that nobody deleted stays to be looked at
_OVERHEAD = 64 * MIB  # of the pod's first process, in memory and in files
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ENTRY = ("python", "-B", "-m", "outerloop.trial.kubernetes_entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """What all pods of trials have in common; `runtime_class` "" is the cluster's default runtime."""

    image: str
    runtime_class: str
    cpu: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a pod finds its worker. `tree_bytes`: the size of what it fetches there."""

    host: str
    port: int
    token: str
    tree_bytes: int


def job(spec: Spec, pods: Pods, door: Door) -> dict[str, Any]:
    """The manifest, for POST.

    Its name follows from the spec's labels and command where there is a label `trial`, so that a run which
    is made again meets what may be left of the one before.
    """
    labels = _labels(spec.labels)
    seconds = math.ceil(spec.limits.start_seconds + spec.limits.seconds) + ORPHAN_SECONDS
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _name(spec), "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(spec, pods, door)},
        },
    }


def _name(spec: Spec) -> str:
    if not (trial := spec.labels.get("trial")):
        return f"outerloop-trial-{secrets.token_hex(10)}"
    said = json.dumps([trial, spec.argv, sorted(spec.urls)])  # a trial may run two: the agent, and live tools
    return f"outerloop-trial-{hashlib.sha256(said.encode()).hexdigest()[:20]}"


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    """Labels of the Job and its pod; a value that can be none is there by its hash."""
    own = {"app.kubernetes.io/name": "outerloop", "app.kubernetes.io/component": "trial"}
    shown = {
        f"outerloop/{key}": value
        if _LABEL.fullmatch(value)
        else hashlib.sha256(value.encode()).hexdigest()[:40]
        for key, value in given.items()
    }
    return own | shown | {RUN: secrets.token_hex(10)}


def _pod(spec: Spec, pods: Pods, door: Door) -> dict[str, Any]:
    limits = spec.limits
    tree = door.tree_bytes + _OVERHEAD + (limits.scratch if spec.writable else 0)
    user = 100_000 + secrets.randbelow(1_000_000_000)  # its own, or limits for a user would be shared
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": "agent",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},  # nobody answers: questions are a way out too
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "tree", "emptyDir": {"sizeLimit": str(tree)}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(limits.scratch)}},
        ],
        "initContainers": [_container("tree", spec, pods, door, writable=True)],
        "containers": [_container(CONTAINER, spec, pods, door, writable=spec.writable)],
    }
    return pod | ({"runtimeClassName": pods.runtime_class} if pods.runtime_class else {})


def _container(name: str, spec: Spec, pods: Pods, door: Door, *, writable: bool) -> dict[str, Any]:
    resources = {
        "cpu": pods.cpu,
        "memory": str(spec.limits.memory + spec.limits.scratch + _OVERHEAD),  # /tmp is memory too
        "ephemeral-storage": str(door.tree_bytes + spec.limits.scratch + 2 * _OVERHEAD),
    }
    return {
        "name": name,
        "image": pods.image,
        "command": [*_ENTRY, "run" if name == CONTAINER else name, door.host, str(door.port), door.token],
        "workingDir": "/",
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tree", "mountPath": AGENT_DIR, "readOnly": not writable},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's
        ],
    }
