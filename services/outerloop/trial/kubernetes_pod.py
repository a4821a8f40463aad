"""What a pod's status says of the run in it.

How a run ended is the command's doing, or it is not, and a command must not be able to make its own failure
look like the cluster's: such a trial would not count. What a command can bring about is to be killed, by a
limit or, where the runtime lets it, by itself. It cannot make its pod be disrupted, nor choose the exit code
of the pod's first process.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outerloop.trial.kubernetes_job import CONTAINER
from outerloop.trial.spec import Stop

Pod = dict[str, Any]
_SIGNALLED = 128  # an exit code over it is a signal's
_OWN_REASONS = {"Error", "OOMKilled", ""}  # of a container's end that the kernel has seen, not reconstructed
_HOPELESS = {  # what a container waits for in vain
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a pod ended: `trouble` is a sentence when that was not the command's doing, and "" when it was."""

    trouble: str = ""
    exit_code: int = -signal.SIGKILL
    stopped: Stop = ""
    said: str = ""  # for the run's stderr, which the pod's own end may have cut off


def ending_of(pod: Pod, *, deleted: bool = False) -> Ending | None:
    """How the pod ended, None while it has not."""
    status = pod.get("status", {})
    if disruption := _condition(pod, "DisruptionTarget", "True"):
        return Ending(f"the pod was disrupted: {_because(disruption)}")
    if status.get("reason") == "Evicted":  # without a disruption: for what itself has used
        return Ending(stopped="disk", said=f"it was evicted: {status.get('message', '')}")
    if deleted or "deletionTimestamp" in pod.get("metadata", {}):
        return Ending("the pod was deleted while the command ran")
    if status.get("phase") == "Succeeded":
        return Ending(
            "the pod succeeded without telling its result: is OUTERLOOP_TRIAL_IMAGE of this version?"
        )
    return _failed(pod) if status.get("phase") == "Failed" else None


def _failed(pod: Pod) -> Ending:
    status = pod["status"]
    end = _terminated(pod, CONTAINER)
    code, reason = end.get("exitCode", 0), end.get("reason", "")
    if status.get("reason") or not end or reason not in _OWN_REASONS:
        told = _because(status if status.get("reason") or not end else end)
        return Ending(f"the pod failed: {told}")
    if reason == "OOMKilled":
        return Ending(stopped="memory")
    if code > _SIGNALLED:
        return Ending(exit_code=_SIGNALLED - code)
    return Ending(f"the pod's first process ended with code {code}: {_because(end)}")


def hopeless(pod: Pod) -> str:
    """Why the pod's command will never start, as a clause; "" while it may."""
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _HOPELESS:
            return f"container {status['name']} waits in vain: {_because(waiting)}"
        end = status.get("state", {}).get("terminated", {})
        if end.get("exitCode"):
            return f"container {status['name']} ended with code {end['exitCode']}: {_because(end)}"
    if ending := ending_of(pod):
        return ending.trouble or ending.said or f"the pod ended early, {ending.stopped or 'killed'}"
    return ""


def progress(pod: Pod) -> str:
    """How far a pod has come that has not started its command, as a clause that names what to look at."""
    if condition := _condition(pod, "PodScheduled", "False"):
        return f"the pod could not be scheduled: {_because(condition)}"
    for status in _containers(pod):
        if waiting := status.get("state", {}).get("waiting"):
            return f"container {status['name']} waits: {_because(waiting)}"
    if pod.get("status", {}).get("phase") == "Running" or any(_containers(pod)):
        return "the pod runs, but has not called here: look at OUTERLOOP_TRIAL_HOST and the NetworkPolicies"
    return f"the pod is {pod.get('status', {}).get('phase', 'Pending')}"


def _containers(pod: Pod) -> Iterator[dict[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _terminated(pod: Pod, name: str) -> dict[str, Any]:
    found = (status for status in _containers(pod) if status["name"] == name)
    return next((status.get("state", {}).get("terminated", {}) for status in found), {})


def _condition(pod: Pod, kind: str, value: str) -> dict[str, Any] | None:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind and c.get("status") == value), None)


def _because(said: dict[str, Any]) -> str:
    return ": ".join(filter(None, (said.get("reason"), said.get("message")))) or "no reason is given"
