"""Schema of one entry of spec.acme.solvers (cert-manager's pkg/apis/acme/v1/types_issuer.go). `dns01` has
its DNS-01 part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from certmill.model.identifiers import dns_name, shown
from certmill.model.manifests.issuer.dns01 import Dns01
from certmill.model.manifests.schema import (
    Annotations,
    Duration,
    Labels,
    Line,
    ObjectName,
    Schema,
    none_if_empty,
)


def _zone(text: str) -> str:
    if text.startswith("*."):
        raise ValueError(f"{shown(text)} must be a zone's name, without '*.'")
    return dns_name(text)


class SelectorSchema(Schema):
    """The names that a solver is for. Invalid label values are accepted and match nothing, because an example
    in cert-manager's manual has one."""

    match_labels: dict[Line, Line] | None = None
    dns_names: list[Annotated[str, AfterValidator(dns_name)]] | None = None
    dns_zones: list[Annotated[str, AfterValidator(_zone)]] | None = None


class TemplateMetadata(Schema):
    """podTemplate.metadata and ingressTemplate.metadata."""

    annotations: Annotations | None = None
    labels: Labels | None = None


class ImagePullSecret(Schema):
    """One of podTemplate.spec.imagePullSecrets."""

    name: Line | None = None


class PodResources(Schema):
    """podTemplate.spec.resources."""

    limits: dict[str, object] | None = None
    requests: dict[str, object] | None = None


class PodSecurityContext(Schema):
    """podTemplate.spec.securityContext."""

    se_linux_options: dict[str, object] | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: list[int] | None = None
    fs_group: int | None = None
    sysctls: list[dict[str, object]] | None = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    seccomp_profile: dict[str, object] | None = None


class PodSpec(Schema):
    """podTemplate.spec."""

    node_selector: dict[str, str] | None = None
    affinity: dict[str, object] | None = None
    tolerations: list[dict[str, object]] | None = None
    priority_class_name: Line | None = None
    service_account_name: Line | None = None
    image_pull_secrets: list[ImagePullSecret] | None = None
    security_context: PodSecurityContext | None = None
    resources: PodResources | None = None


class PodTemplate(Schema):
    """podTemplate of an HTTP-01 solver."""

    metadata: TemplateMetadata | None = None
    spec: PodSpec | None = None


class IngressTemplateSchema(Schema):
    """ingressTemplate of an HTTP-01 solver."""

    metadata: TemplateMetadata | None = None


class IngressSolver(Schema):
    """http01.ingress."""

    service_type: Literal["", "ClusterIP", "NodePort"] | None = None
    ingress_class_name: ObjectName | None = None
    ingress_class: Line | None = Field(default=None, alias="class")
    name: Annotated[ObjectName | None, BeforeValidator(none_if_empty)] = None
    pod_template: PodTemplate | None = None
    ingress_template: IngressTemplateSchema | None = None


class ParentRef(Schema):
    """One of gatewayHTTPRoute.parentRefs (Gateway API)."""

    group: Line | None = None
    kind: Line | None = None
    namespace: Line | None = None
    name: Line
    section_name: Line | None = None
    port: int | None = None


class GatewaySolver(Schema):
    """http01.gatewayHTTPRoute."""

    service_type: Literal["", "ClusterIP", "NodePort"] | None = None
    labels: Labels | None = None
    parent_refs: list[ParentRef] | None = None
    pod_template: PodTemplate | None = None


class Http01Schema(Schema):
    """solvers[].http01."""

    ingress: IngressSolver | None = None
    gateway_http_route: GatewaySolver | None = Field(default=None, alias="gatewayHTTPRoute")


class SolverSchema(Schema):
    """One of spec.acme.solvers."""

    selector: SelectorSchema | None = None
    http01: Http01Schema | None = None
    dns01: Dns01 | None = None
    wait_instead_of_self_check: Duration | None = None
