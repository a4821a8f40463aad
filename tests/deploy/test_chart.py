"""The chart: valid, safe by rules that a program checks, and plain about what cannot work."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import yaml

from engines.chart import CHART, NEWEST, ROOT, VALUES, helm, rendered
from outerloop.cli.config import OF_SERVICES
from outerloop.runtime.settings import known_variables
from outerloop.runtime.topics import topics

SERVICES = ("draft", "gate", "ingest", "propose", "triage")
FULL = CHART / "ci" / "strimzi-values.yaml"
MINIMAL = CHART / "ci" / "minimal-values.yaml"
Objects = Sequence[dict[str, Any]]


@pytest.fixture(params=VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def objects(request: pytest.FixtureRequest) -> Sequence[dict[str, Any]]:
    """Every object of one set of values, in turn."""
    return rendered(request.param)


@pytest.fixture
def refused() -> Callable[..., str]:
    """What Helm says when it refuses the least values with these `--set` expressions."""

    def refuse(*sets: str) -> str:
        arguments = [part for each in sets for part in ("--set", each)]
        said = helm(
            "template",
            "ol",
            str(CHART),
            "-f",
            str(MINIMAL),
            "--kube-version",
            NEWEST,
            *arguments,
            check=False,
        )
        assert said.returncode != 0, f"{sets} was taken"
        return said.stderr

    return refuse


def of(objects: Objects, kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def named(objects: Objects, kind: str, end: str) -> dict[str, Any]:
    (found,) = [each for each in of(objects, kind) if each["metadata"]["name"].endswith(end)]
    return found


def pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in objects:
        if each["kind"] in {"Deployment", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name)
def test_helm_finds_nothing_to_complain_of(values: Any) -> None:
    said = helm("lint", "--strict", str(CHART), "-f", str(values))
    assert "0 chart(s) failed" in said.stdout


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36", "1.37"])
def test_core_objects_are_valid_to_the_newest_and_three_earlier_minors(
    objects: Objects, version: str, tmp_path: Any
) -> None:
    # Kinds of others (Strimzi, KEDA, …) have no schema here: what they must say is checked below.
    core = [
        each
        for each in objects
        if "." not in each["apiVersion"].partition("/")[0] or "k8s.io" in each["apiVersion"]
    ]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(core))
    command = [
        sys.executable,
        "-m",
        "kubernetes_validate",
        "--strict",
        "--kubernetes-version",
        version,
        str(file),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Couldn't find schema" not in said.stdout + said.stderr


def test_every_pod_is_restricted(objects: Objects) -> None:
    for name, spec in pods(objects):
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"]["type"] == "RuntimeDefault", name
        assert not any(spec.get(each) for each in ("hostNetwork", "hostPID", "hostIPC")), name
        assert all("hostPath" not in volume for volume in spec.get("volumes", ())), name
        for container in spec["containers"]:
            inside = container["securityContext"]
            assert inside["capabilities"] == {"drop": ["ALL"]}, name
            assert (inside["allowPrivilegeEscalation"], inside["readOnlyRootFilesystem"]) == (False, True), (
                name
            )
            assert container["resources"]["requests"]["cpu"], name
            assert container["resources"]["limits"]["memory"], name


def test_only_who_starts_trials_has_a_token_of_the_cluster(objects: Objects) -> None:
    able = {name for name, spec in pods(objects) if spec["automountServiceAccountToken"]}
    assert {name.rpartition("-")[2] for name in able} == {"draft", "propose", "gate"}
    (role,) = of(objects, "Role")
    allowed = {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert allowed == {
        ("jobs", "create"),
        ("jobs", "get"),
        ("jobs", "delete"),
        ("pods", "list"),
        ("pods", "watch"),
    }
    assert not of(objects, "ClusterRole")


JUDGE = "services.triage.settings.triage_model=claude-sonnet-5-5"


def secrets_of(objects: Objects) -> dict[str, set[str]]:
    has: dict[str, set[str]] = {}
    for deployment in of(objects, "Deployment"):
        service = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        spec = deployment["spec"]["template"]["spec"]
        env = (each.get("valueFrom", {}) for each in spec["containers"][0]["env"])
        has[service] = {each["secretKeyRef"]["name"] for each in env if "secretKeyRef" in each}
        has[service] |= {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    return has


def test_secrets_reach_only_who_needs_them() -> None:
    has = secrets_of(rendered(FULL))
    asking = {"draft", "gate", "propose"}
    assert {s for s, names in has.items() if "outerloop-model" in names} == asking
    for judge in (JUDGE, JUDGE.removeprefix("services.triage.")):
        judged = secrets_of(rendered(FULL, judge))
        assert {s for s, names in judged.items() if "outerloop-model" in names} == asking | {"triage"}
    assert {s for s, names in has.items() if "outerloop-git" in names} == {"draft", "gate", "propose"}
    assert {s for s, names in has.items() if "outerloop-forge" in names} == {"gate"}
    assert {s for s, names in has.items() if "outerloop-signing" in names} == {"gate"}
    assert {s for s, names in has.items() if "outerloop-otlp" in names} == {"ingest"}
    for service in SERVICES:  # of the Kafka users, each has its own and no other
        assert {name for name in has[service] if name in {f"outerloop-{each}" for each in SERVICES}} == {
            f"outerloop-{service}"
        }


def test_liveness_asks_no_dependency(objects: Objects) -> None:
    for deployment in of(objects, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        paths = {
            probe: container[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_every_variable_is_one_that_the_services_know(objects: Objects) -> None:
    assert OF_SERVICES
    known = set(known_variables())
    for name, spec in pods(objects):
        said = {each["name"] for each in spec["containers"][0].get("env", ())}
        assert {each for each in said if each.startswith("OUTERLOOP_")} <= known, name


def ports_of(policies: dict[str, Any]) -> dict[str, set[int]]:
    return {
        name.removeprefix("ol-outerloop-"): {
            port["port"] for rule in spec["egress"] for port in rule.get("ports", ())
        }
        for name, spec in policies.items()
        if "egress" in spec
    }


def policies_of(objects: Objects) -> dict[str, Any]:
    return {p["metadata"]["name"]: p["spec"] for p in of(objects, "NetworkPolicy")}


def test_nothing_goes_out_but_where_it_must() -> None:
    policies = policies_of(rendered(MINIMAL))
    deny = policies["ol-outerloop-default-deny"]
    assert (deny["policyTypes"], deny.get("egress"), deny.get("ingress")) == (
        ["Ingress", "Egress"],
        None,
        None,
    )
    ports = ports_of(policies)
    assert ports["ingest"] == {53, 9092, 9093, 9094, 8123, 8443}
    assert ports["triage"] == ports["ingest"]
    assert ports_of(policies_of(rendered(MINIMAL, JUDGE)))["triage"] == ports["ingest"] | {443}
    assert ports["migrate"] == {53, 8123, 8443}
    assert ports["trials"] == {8090}
    trials = policies["ol-outerloop-trials"]
    assert trials["podSelector"] == {}
    assert trials["ingress"] == []


def test_traces_of_the_services_go_where_they_are_wanted_and_may() -> None:
    objects = rendered(MINIMAL, "monitoring.tracing.endpoint=http://tempo:4318")
    for name, spec in pods(objects):
        said = {each["name"]: each.get("value") for each in spec["containers"][0].get("env", ())}
        assert said["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://tempo:4318", name
    policies = {
        p["metadata"]["name"].removeprefix("ol-outerloop-"): p["spec"] for p in of(objects, "NetworkPolicy")
    }
    for service in ("ingest", "triage", "draft", "propose", "gate"):
        assert [{"port": 4318, "protocol": "TCP"}] in [r["ports"] for r in policies[service]["egress"]]


def test_topics_are_those_of_the_contracts() -> None:
    said = json.loads((CHART / "files" / "topics.json").read_text())
    command = [sys.executable, "-m", "outerloop", "topics", "--json"]
    assert said == json.loads(subprocess.run(command, capture_output=True, check=True).stdout), (
        "run make chart"
    )
    made = {each["spec"]["topicName"]: each["spec"] for each in of(rendered(FULL), "KafkaTopic")}
    assert set(made) == {*topics(), *(letters for each in said for letters in each["dead_letters"])}
    assert all(made[spec.name]["partitions"] == spec.partitions for spec in topics().values())
    assert made["outerloop.mode.opened.v1"]["config"]["retention.ms"] == "-1"
    assert all("_" not in each["metadata"]["name"] for each in of(rendered(FULL), "KafkaTopic"))


def test_a_topic_is_written_by_its_one_writer() -> None:
    writers: dict[str, set[str]] = {}
    for user in of(rendered(FULL), "KafkaUser"):
        who = user["metadata"]["labels"]["app.kubernetes.io/component"]
        for acl in user["spec"]["authorization"]["acls"]:
            if "Write" in acl["operations"]:
                writers.setdefault(acl["resource"]["name"], set()).add(who)
    for spec in topics().values():
        may = {spec.writer, "collector", "propose"} if spec.name.startswith("otlp_") else {spec.writer}
        assert writers[spec.name] == may, spec.name
    assert writers["outerloop.mode.opened.v1.draft.dlq"] == {"draft"}


def test_a_scaled_service_never_has_more_replicas_than_partitions() -> None:
    scaled = of(rendered(FULL), "ScaledObject")
    assert {each["metadata"]["name"] for each in scaled} == {"ol-outerloop-ingest", "ol-outerloop-gate"}
    for each in scaled:
        asked = [topics()[trigger["metadata"]["topic"]].partitions for trigger in each["spec"]["triggers"]]
        assert each["spec"]["maxReplicaCount"] <= min(asked)
        assert "replicas" not in named(rendered(FULL), "Deployment", each["metadata"]["name"])["spec"]
    groups = {
        t["metadata"]["topic"]: t["metadata"]["consumerGroup"] for s in scaled for t in s["spec"]["triggers"]
    }
    assert groups["outerloop.trial.requested.v1"] == "outerloop-gate-trials"
    assert groups["outerloop.change.proposed.v1"] == "outerloop-gate"


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["kafka.bootstrapServers="], "kafka.bootstrapServers: set it to"),
        (["kafka.bootstrapServers=kafka"], "bootstrapServers"),
        (["clickhouse.url="], "clickhouse.url: set it to"),
        (["trials.runtimeClassName=null"], "trials.runtimeClassName: name a RuntimeClass that isolates"),
        (["otlp.existingSecret="], "otlp.existingSecret: the OTLP receivers listen in the cluster"),
        (["kafka.security=SASL_SSL"], "kafka.security is SASL_SSL: set kafka.existingSecret"),
        (["kafka.security=TLS"], "security"),
        (["kafka.security=SSL", "kafka.mtls=true"], "kafka.mtls: set kafka.existingSecret"),
        (["kafka.existingSecret=a", "kafka.existingSecretPerService=b-%s"], "set one of them"),
        (["kafka.existingSecretPerService=b"], "put %s where the service's name belongs"),
        (["services.gate.autoscaling.enabled=true"], "needs keda.enabled"),
        (["services.ingest.replicas=13"], "services.ingest.replicas: at most kafka.partitions (12)"),
        (["strimzi.enabled=true"], "strimzi.cluster: name the Kafka resource"),
        (["agents[0].name=a", "agents[0].repository=git@h:a.git"], "git.existingSecret: agent a is at"),
        (["ingest.replicas=2"], "ingest"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_what_cannot_work_fails_with_a_sentence(
    refused: Callable[..., str], sets: list[str], says: str
) -> None:
    assert says in refused(*sets)


def test_every_value_is_documented_and_has_a_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert (ROOT / "deploy" / "README.md").exists()
