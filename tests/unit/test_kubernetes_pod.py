"""What pods' statuses say: whose doing an end was, and why a pod does not start."""

from typing import Any

import pytest

from outerloop.trial.kubernetes_pod import Ending, ending_of, hopeless, progress

LOW = {"reason": "Evicted", "message": "The node was low on resource: memory."}
FULL = {"reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit"}


def pod(phase: str, *containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    named = [{"name": "agent", "state": state} for state in containers]
    return {"metadata": {}, "status": {"phase": phase, "containerStatuses": named, **status}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def condition(kind: str, value: str, **more: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": value, **more}]


@pytest.mark.parametrize(
    ("status", "own"),
    [
        (pod("Failed", ended(137, "OOMKilled")), Ending(stopped="memory")),
        (pod("Failed", ended(137)), Ending(exit_code=-9)),
        (pod("Failed", ended(139)), Ending(exit_code=-11)),
        (
            pod("Failed", ended(137), **FULL),
            Ending(stopped="disk", said=f"it was evicted: {FULL['message']}"),
        ),
    ],
)
def test_what_a_command_can_bring_about_is_its_own(status: dict[str, Any], own: Ending) -> None:
    assert ending_of(status) == own


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (pod("Failed", ended(137), **LOW, conditions=condition("DisruptionTarget", "True", **LOW)), "low on"),
        (
            pod("Running", {}, conditions=condition("DisruptionTarget", "True")),
            "disrupted: no reason is given",
        ),
        (pod("Failed", reason="NodeShutdown", message="m"), "failed: NodeShutdown: m"),
        (pod("Failed", ended(137), reason="NodeLost"), "failed: NodeLost"),
        (pod("Failed", ended(137, "ContainerStatusUnknown")), "failed: ContainerStatusUnknown"),
        (pod("Failed", ended(255, "Unknown")), "failed: Unknown"),
        (pod("Failed", ended(128, "StartError")), "failed: StartError"),
        (pod("Failed", ended(1)), "first process ended with code 1: Error"),
        (pod("Failed", ended(75)), "first process ended with code 75: Error"),
        (pod("Failed"), "failed: no reason is given"),
        (pod("Succeeded", ended(0, "Completed")), "succeeded without telling its result"),
    ],
)
def test_what_a_command_cannot_bring_about_is_no_run(status: dict[str, Any], trouble: str) -> None:
    ending = ending_of(status)
    assert ending
    assert trouble in ending.trouble


def test_a_pod_that_is_deleted_was_not_ended_by_its_command() -> None:
    killed = pod("Failed", ended(137))
    for status, deleted in ((killed, True), (killed | {"metadata": {"deletionTimestamp": "t"}}, False)):
        ending = ending_of(status, deleted=deleted)
        assert ending
        assert "was deleted" in ending.trouble


def test_a_pod_that_runs_has_not_ended_and_has_hope() -> None:
    for status in (pod("Running", {"running": {}}), pod("Pending"), pod("Unknown", {}), {}):
        assert ending_of(status) is None
        assert hopeless(status) == ""


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (pod("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}), "ImagePullBackOff: m"),
        (pod("Pending", {"waiting": {"reason": "CreateContainerConfigError"}}), "CreateContainerConfigError"),
        (pod("Pending", ended(1)), "container agent ended with code 1: Error"),
        (pod("Failed", reason="OutOfcpu"), "the pod failed: OutOfcpu"),
        (pod("Failed", **FULL), "it was evicted: Pod ephemeral"),
    ],
)
def test_a_pod_that_cannot_start_is_given_up_at_once(status: dict[str, Any], why: str) -> None:
    assert why in hopeless(status)


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        (pod("Pending", conditions=condition("PodScheduled", "False", reason="R", message="m")), "R: m"),
        (pod("Pending", {"waiting": {"reason": "ContainerCreating"}}), "agent waits: ContainerCreating"),
        (pod("Pending", {"waiting": {"reason": "ErrImagePull"}}), "agent waits: ErrImagePull"),
        (pod("Running", {"running": {}}), "OUTERLOOP_TRIAL_HOST"),
        (pod("Pending"), "the pod is Pending"),
    ],
)
def test_what_a_pod_waits_for_is_said(status: dict[str, Any], seen: str) -> None:
    assert seen in progress(status)
    assert hopeless(status) == ""
