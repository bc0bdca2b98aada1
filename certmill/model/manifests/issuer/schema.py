"""Schema of a cert-manager.io/v1 Issuer or ClusterIssuer. `solver_schema` has its solvers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from certmill.model.manifests.issuer.solver_schema import SolverSchema
from certmill.model.manifests.schema import (
    Line,
    Metadata,
    ObjectName,
    Schema,
    SecretKey,
    SecretKeySelector,
    none_if_empty,
)


class PrivateKeySecretRef(Schema):
    """spec.acme.privateKeySecretRef."""

    name: ObjectName
    key: Annotated[SecretKey | None, BeforeValidator(none_if_empty)] = None


class ExternalAccountBindingSchema(Schema):
    """spec.acme.externalAccountBinding. keyAlgorithm has no effect at cert-manager either: HS256 is always
    used."""

    key_id: Line = Field(alias="keyID")
    key_secret_ref: SecretKeySelector
    key_algorithm: Literal["HS256", "HS384", "HS512"] | None = None


class AcmeSchema(Schema):
    """spec.acme. renewalInformationSource is ARI by default. In cert-manager it has no effect, because a
    feature gate is off there."""

    email: Line | None = None
    server: Line
    preferred_chain: Line | None = None
    ca_bundle: str | None = None
    skip_tls_verify: bool | None = Field(default=None, alias="skipTLSVerify")
    external_account_binding: ExternalAccountBindingSchema | None = None
    private_key_secret_ref: PrivateKeySecretRef
    solvers: list[SolverSchema] | None = None
    disable_account_key_generation: bool | None = None
    enable_duration_feature: bool | None = None
    profile: Line | None = None
    renewal_information_source: Literal["ARI", "None"] | None = None


class IssuerSpec(Schema):
    """spec; certmill supports only acme."""

    acme: AcmeSchema | None = None
    ca: object = None
    vault: object = None
    self_signed: object = None
    venafi: object = None


class IssuerManifest(Schema):
    """A whole Issuer or ClusterIssuer."""

    api_version: Literal["cert-manager.io/v1"]
    kind: Literal["Issuer", "ClusterIssuer"]
    metadata: Metadata
    spec: IssuerSpec
    status: object = None
