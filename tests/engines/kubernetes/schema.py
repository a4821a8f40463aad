"""A Job's manifest as the Kubernetes API takes it with `fieldValidation=Strict`, so far as trials use it.

A field that is not here is refused, though Kubernetes may know it: whoever needs it adds it. What is checked
besides types: names, labels and quantities; that mounts have volumes; requests within limits; and, as in a
namespace that enforces it, the pod security standard `restricted`.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

LABEL = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "Ki": 2**10, "M": 1e6, "Mi": 2**20, "G": 1e9, "Gi": 2**30}

Name = Annotated[str, Field(pattern=NAME)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")]
Labels = dict[Annotated[str, Field(pattern=KEY)], Annotated[str, Field(pattern=LABEL)]]
Amounts = dict[Literal["cpu", "memory", "ephemeral-storage"], Quantity]


def amount(quantity: str) -> float:
    """A quantity as a number: bytes, or CPUs."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Resources(Strict):
    limits: Amounts
    requests: Amounts

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name, wanted in self.requests.items():
            if amount(wanted) > amount(self.limits.get(name, wanted)):
                raise ValueError(f"requests.{name} must be less than or equal to the limit")
        return self


class Capabilities(Strict):
    drop: list[str]


class ContainerSecurity(Strict):
    allowPrivilegeEscalation: Literal[False]  # noqa: N815 - Kubernetes' spelling, here and below
    readOnlyRootFilesystem: Literal[True]  # noqa: N815
    capabilities: Capabilities

    @model_validator(mode="after")
    def _restricted(self) -> Self:
        if "ALL" not in self.capabilities.drop:
            raise ValueError("violates PodSecurity restricted: must drop ALL capabilities")
        return self


class Mount(Strict):
    name: Name
    mountPath: Annotated[str, Field(pattern=r"^/[^:]*$")]  # noqa: N815
    readOnly: bool = False  # noqa: N815


class Container(Strict):
    name: Name
    image: Annotated[str, Field(min_length=1)]
    command: Annotated[list[str], Field(min_length=1)]
    workingDir: str = "/"  # noqa: N815
    resources: Resources
    securityContext: ContainerSecurity  # noqa: N815
    volumeMounts: list[Mount]  # noqa: N815


class Seccomp(Strict):
    type: Literal["RuntimeDefault"]


class PodSecurity(Strict):
    runAsNonRoot: Literal[True]  # noqa: N815
    runAsUser: Annotated[int, Field(ge=1, le=2**31 - 1)]  # noqa: N815
    runAsGroup: Annotated[int, Field(ge=1, le=2**31 - 1)]  # noqa: N815
    seccompProfile: Seccomp  # noqa: N815


class EmptyDir(Strict):
    medium: Literal["", "Memory"] = ""
    sizeLimit: Quantity | None = None  # noqa: N815


class Volume(Strict):
    name: Name
    emptyDir: EmptyDir  # noqa: N815


class DnsConfig(Strict):
    nameservers: Annotated[list[str], Field(min_length=1, max_length=3)]


class PodSpec(Strict):
    restartPolicy: Literal["Never", "OnFailure"]  # noqa: N815
    runtimeClassName: Name | None = None  # noqa: N815
    automountServiceAccountToken: bool = True  # noqa: N815
    enableServiceLinks: bool = True  # noqa: N815
    hostname: Name
    dnsPolicy: Literal["None", "ClusterFirst", "Default"]  # noqa: N815
    dnsConfig: DnsConfig  # noqa: N815
    terminationGracePeriodSeconds: Annotated[int, Field(ge=0)]  # noqa: N815
    securityContext: PodSecurity  # noqa: N815
    volumes: list[Volume]
    initContainers: list[Container]  # noqa: N815
    containers: Annotated[list[Container], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        volumes = [volume.name for volume in self.volumes]
        containers = [*self.initContainers, *self.containers]
        names = [container.name for container in containers]
        if len(set(volumes)) != len(volumes) or len(set(names)) != len(names):
            raise ValueError("names of volumes, and of containers, must be unique")
        for container in containers:
            paths = [mount.mountPath for mount in container.volumeMounts]
            if len(set(paths)) != len(paths) or not {m.name for m in container.volumeMounts} <= set(volumes):
                raise ValueError(f"{container.name}: mountPath must be unique, and name a volume")
        return self


class TemplateMetadata(Strict):
    labels: Labels


class Template(Strict):
    metadata: TemplateMetadata
    spec: PodSpec


class JobSpec(Strict):
    backoffLimit: Annotated[int, Field(ge=0)]  # noqa: N815
    completions: Annotated[int, Field(ge=0)]
    parallelism: Annotated[int, Field(ge=0)]
    activeDeadlineSeconds: Annotated[int, Field(ge=1)]  # noqa: N815
    ttlSecondsAfterFinished: Annotated[int, Field(ge=0)]  # noqa: N815
    template: Template


class Metadata(Strict):
    name: Name
    labels: Labels


class Job(Strict):
    apiVersion: Literal["batch/v1"]  # noqa: N815
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec


def refusal(manifest: Any) -> str:
    """Why the API refuses the manifest; "" when it takes it."""
    try:
        Job.model_validate(manifest)
    except ValidationError as error:
        return f"Job is invalid: {error}"
    return ""
