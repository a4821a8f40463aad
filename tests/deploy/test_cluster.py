"""The chart on a real control plane: accepted, admitted, rolled, scaled; and who may do what in it.

`make deploy-engines` builds what this needs; without it these are skipped.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engines.chart import CHART, VALUES, rendered, tool
from engines.kubernetes.cluster import Cluster, RefusedError
from outerloop.trial.kubernetes_job import Door, Pods, job
from outerloop.trial.spec import Limits, Spec

OURS, TRIALS = "outerloop", "outerloop-trials"
MINIMAL = CHART / "ci" / "minimal-values.yaml"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{OURS}/deployments"
SERVICES = ("ingest", "triage", "draft", "propose", "gate")
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
WITHIN = "300s"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane with three nodes and a namespace of ours that admits only restricted pods."""
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        one.start(nodes=3)
        one.create(namespace(OURS))
        for name, handler in (("gvisor", "runsc"), ("kata", "kata")):
            metadata = {"name": name}
            one.create(
                {
                    "apiVersion": "node.k8s.io/v1",
                    "kind": "RuntimeClass",
                    "metadata": metadata,
                    "handler": handler,
                }
            )
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The chart with the least values, as Helm installs it: hooks have run, everything is ready."""
    helm_at(cluster, "install", "ol", "--wait", "--wait-for-jobs")
    return cluster


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}


def helm_at(cluster: Cluster, verb: str, name: str, *more: str) -> None:
    at = ["--kubeconfig", str(cluster.kubeconfig), "-n", OURS, "--timeout", WITHIN]
    argv = [tool("helm"), verb, name, str(CHART), "-f", str(MINIMAL), *at, *more]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.5)


def custom(objects: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A definition for each kind that an operator brings; theirs check the fields, too."""
    kinds = {(o["apiVersion"], o["kind"]) for o in objects}
    for api, kind in sorted(kinds):
        group, _, version = api.partition("/")
        if group.rpartition(".")[2] not in {"com", "io", "sh"} or group.endswith("k8s.io"):
            continue
        plural = f"{kind.lower()}s"
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": anything},
                    }
                ],
            },
        }


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_everything_is_accepted_by_server_side_apply(cluster: Cluster, values: Path) -> None:
    objects = rendered(values, f"trials.namespace=applied-{values.name[:4]}")
    for definition in custom(objects):
        cluster.apply(definition)
        until(partial(established, cluster, definition["metadata"]["name"]))
    within = f"ours-{values.name[:4]}"
    cluster.create(namespace(within))
    spaces = {o["metadata"].get("namespace", within) for o in objects} - {within}
    for each in sorted(spaces):
        with contextlib.suppress(RefusedError):  # the chart brings it itself, or an earlier test
            cluster.create(namespace(each))
    for each in objects:
        own = each["metadata"].get("namespace") == OURS
        moved = {"metadata": each["metadata"] | {"namespace": within}} if own else {}
        cluster.apply(each | moved, within)


def established(cluster: Cluster, name: str) -> bool:
    found = cluster.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    conditions = found.get("status", {}).get("conditions") or ()  # null at first
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def all_ready(cluster: Cluster, service: str) -> bool:
    found = cluster.get(f"{DEPLOYMENTS}/ol-outerloop-{service}")
    return bool(found["status"].get("readyReplicas") == found["spec"]["replicas"])


def test_every_service_is_ready_under_restricted_pod_security(installed: Cluster) -> None:
    for service in SERVICES:
        until(partial(all_ready, installed, service))  # Helm does not wait for the last one
    jobs = installed.get(f"/apis/batch/v1/namespaces/{OURS}/jobs")["items"]
    assert all(each["status"].get("succeeded") for each in jobs)
    spread = {
        pod["spec"]["nodeName"]
        for pod in installed.get(f"/api/v1/namespaces/{OURS}/pods")["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "gate"
    }
    assert len(spread) == 2  # its two replicas are on two nodes


def test_a_pod_that_is_not_restricted_is_refused(installed: Cluster) -> None:
    for within in (OURS, TRIALS):
        with pytest.raises(RefusedError, match="violates PodSecurity") as refused:
            installed.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "root", "namespace": within},
                    "spec": {"containers": [{"name": "c", "image": "c"}]},
                }
            )
        assert refused.value.code == 403


def test_an_upgrade_rolls_and_a_service_scales(installed: Cluster) -> None:
    helm_at(
        installed, "upgrade", "ol", "--wait", "--set", "image.tag=next", "--set", "services.triage.replicas=4"
    )
    for service in SERVICES:
        found = installed.get(f"{DEPLOYMENTS}/ol-outerloop-{service}")
        assert found["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":next")
        assert (
            found["status"]["updatedReplicas"]
            == found["spec"]["replicas"]
            == found["status"]["readyReplicas"]
        )
    assert installed.get(f"{DEPLOYMENTS}/ol-outerloop-triage")["spec"]["replicas"] == 4
    scale = {"spec": {"replicas": 6}}
    installed.call("PATCH", f"{DEPLOYMENTS}/ol-outerloop-triage/scale", scale, kind="merge-patch+json")
    until(lambda: installed.get(f"{DEPLOYMENTS}/ol-outerloop-triage")["status"].get("readyReplicas") == 6)


def account(cluster: Cluster, service: str) -> str:
    """A token of a service's account, as its pods get one."""
    path = f"/api/v1/namespaces/{OURS}/serviceaccounts/ol-outerloop-{service}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(cluster.call("POST", path, request)["status"]["token"])


def trial(number: int) -> dict[str, Any]:
    spec = Spec(
        argv=("python", "agent.py"),
        tree=Path("tree"),
        environment=Path("environment"),
        limits=Limits(seconds=60),
        labels={"trial": f"t{number}", "agent": "helpdesk"},
    )
    pods = Pods(image="outerloop:test", runtime_class="gvisor", cpu="1")
    return job(spec, pods, Door(host="10.1.2.3", port=8090, token="t", tree_bytes=1000))


def test_a_trial_is_a_job_that_the_cluster_takes_from_the_gate_and_runs(installed: Cluster) -> None:
    gate, jobs = account(installed, "gate"), f"/apis/batch/v1/namespaces/{TRIALS}/jobs"
    manifest = trial(1)
    path = f"{jobs}/{manifest['metadata']['name']}"
    installed.call("POST", f"{jobs}?fieldValidation=Strict", manifest, token=gate)
    until(lambda: installed.call("GET", path, token=gate)["status"].get("succeeded"))
    pods = installed.call("GET", f"/api/v1/namespaces/{TRIALS}/pods", token=gate)["items"]
    (pod,) = (p for p in pods if p["metadata"]["labels"]["job-name"] == manifest["metadata"]["name"])
    assert pod["spec"]["runtimeClassName"] == "gvisor"
    assert not pod["spec"]["automountServiceAccountToken"]
    installed.call("DELETE", path, {"propagationPolicy": "Background"}, token=gate)


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("gate", "GET", f"/api/v1/namespaces/{OURS}/secrets"),
        ("gate", "GET", f"/api/v1/namespaces/{TRIALS}/secrets"),
        ("gate", "POST", f"/api/v1/namespaces/{TRIALS}/pods"),
        ("gate", "POST", f"/apis/batch/v1/namespaces/{OURS}/jobs"),
        ("gate", "GET", f"{DEPLOYMENTS}"),
        ("ingest", "POST", f"/apis/batch/v1/namespaces/{TRIALS}/jobs"),
        ("triage", "GET", f"/api/v1/namespaces/{TRIALS}/pods"),
    ],
)
def test_what_a_service_need_not_do_it_may_not(
    installed: Cluster, service: str, method: str, path: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        installed.call(
            method, path, trial(2) if method == "POST" else None, token=account(installed, service)
        )
    assert refused.value.code == 403


def test_trials_stay_within_their_quota(installed: Cluster) -> None:
    helm_at(installed, "upgrade", "ol", "--wait", "--set", "trials.quota.pods=2")
    gate, jobs = account(installed, "gate"), f"/apis/batch/v1/namespaces/{TRIALS}/jobs"

    def asked() -> str:
        """What the API says to ever more trials, in the end."""
        for number in range(10, 20):
            try:
                installed.call("POST", jobs, trial(number), token=gate)
            except RefusedError as refused:
                return str(refused)
        return "it takes any number"

    assert "exceeded quota" in asked()


def test_it_is_taken_away_whole(installed: Cluster) -> None:
    at = ["--kubeconfig", str(installed.kubeconfig), "-n", OURS, "--wait", "--timeout", WITHIN]
    subprocess.run([tool("helm"), "uninstall", "ol", *at], check=True, capture_output=True)
    assert installed.get(DEPLOYMENTS)["items"] == []
    until(lambda: installed.get(f"/api/v1/namespaces/{OURS}/pods")["items"] == [])
