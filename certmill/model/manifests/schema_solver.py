"""Schema of one entry of spec.acme.solvers, with all providers of cert-manager (its
pkg/apis/acme/v1/types_issuer.go)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from certmill.model.identifiers import dns_name, shown
from certmill.model.manifests.schema import (
    Annotations,
    Duration,
    Labels,
    Line,
    ObjectName,
    OptionalSecretKeySelector,
    Schema,
    SecretKeySelector,
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


class Akamai(Schema):
    """dns01.akamai."""

    service_consumer_domain: Line
    client_token_secret_ref: SecretKeySelector
    client_secret_secret_ref: SecretKeySelector
    access_token_secret_ref: SecretKeySelector


class CloudDns(Schema):
    """dns01.cloudDNS."""

    project: Line
    service_account_secret_ref: SecretKeySelector | None = None
    hosted_zone_name: Line | None = None


class CloudflareSchema(Schema):
    """dns01.cloudflare."""

    email: Line | None = None
    api_key_secret_ref: SecretKeySelector | None = None
    api_token_secret_ref: SecretKeySelector | None = None


class ServiceAccountRef(Schema):
    """route53.auth.kubernetes.serviceAccountRef."""

    name: ObjectName
    audiences: list[Line] | None = None


class Route53KubernetesAuth(Schema):
    """route53.auth.kubernetes."""

    service_account_ref: ServiceAccountRef


class Route53Auth(Schema):
    """route53.auth."""

    kubernetes: Route53KubernetesAuth


class Route53(Schema):
    """dns01.route53."""

    auth: Route53Auth | None = None
    access_key_id: Line | None = Field(default=None, alias="accessKeyID")
    access_key_id_secret_ref: SecretKeySelector | None = Field(default=None, alias="accessKeyIDSecretRef")
    secret_access_key_secret_ref: OptionalSecretKeySelector = None
    role: Line | None = None
    hosted_zone_id: Line | None = Field(default=None, alias="hostedZoneID")
    region: Line | None = None


class AzureManagedIdentity(Schema):
    """azureDNS.managedIdentity."""

    client_id: Line | None = Field(default=None, alias="clientID")
    resource_id: Line | None = Field(default=None, alias="resourceID")
    tenant_id: Line | None = Field(default=None, alias="tenantID")


class AzureDns(Schema):
    """dns01.azureDNS."""

    client_id: Line | None = Field(default=None, alias="clientID")
    client_secret_secret_ref: SecretKeySelector | None = None
    subscription_id: Line = Field(alias="subscriptionID")
    tenant_id: Line | None = Field(default=None, alias="tenantID")
    resource_group_name: Line
    hosted_zone_name: Line | None = None
    environment: (
        Literal["", "AzurePublicCloud", "AzureChinaCloud", "AzureGermanCloud", "AzureUSGovernmentCloud"]
        | None
    ) = None
    managed_identity: AzureManagedIdentity | None = None
    zone_type: Literal["AzurePrivateZone", "AzurePublicZone"] | None = None


class DigitalOcean(Schema):
    """dns01.digitalocean."""

    token_secret_ref: SecretKeySelector


class AcmeDns(Schema):
    """dns01.acmeDNS."""

    host: Line
    account_secret_ref: SecretKeySelector


class Rfc2136Schema(Schema):
    """dns01.rfc2136."""

    nameserver: Line
    tsig_key_name: Line | None = None
    tsig_secret_secret_ref: OptionalSecretKeySelector = None
    tsig_algorithm: Line | None = None
    protocol: Literal["UDP", "TCP"] | None = None


class Webhook(Schema):
    """dns01.webhook; `config` is not checked, because only the webhook knows its form."""

    group_name: Line
    solver_name: Line
    config: object = None


class Dns01Schema(Schema):
    """solvers[].dns01."""

    cname_strategy: Literal["", "None", "Follow"] | None = None
    nameservers: list[Line] | None = None
    akamai: Akamai | None = None
    cloud_dns: CloudDns | None = Field(default=None, alias="cloudDNS")
    cloudflare: CloudflareSchema | None = None
    route53: Route53 | None = None
    azure_dns: AzureDns | None = Field(default=None, alias="azureDNS")
    digitalocean: DigitalOcean | None = None
    acme_dns: AcmeDns | None = Field(default=None, alias="acmeDNS")
    rfc2136: Rfc2136Schema | None = None
    webhook: Webhook | None = None


class SolverSchema(Schema):
    """One of spec.acme.solvers."""

    selector: SelectorSchema | None = None
    http01: Http01Schema | None = None
    dns01: Dns01Schema | None = None
    wait_instead_of_self_check: Duration | None = None
