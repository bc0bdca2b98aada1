"""Schemas of the DNS-01 providers that cert-manager has and certmill has not (cert-manager's
pkg/apis/acme/v1/types_issuer.go). Their fields are checked, so that the message says what is wrong first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from certmill.model.manifests.schema import (
    Line,
    ObjectName,
    OptionalSecretKeySelector,
    Schema,
    SecretKeySelector,
)


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


class Webhook(Schema):
    """dns01.webhook; `config` is not checked, because only the webhook knows its form."""

    group_name: Line
    solver_name: Line
    config: object = None
