"""The DNS-01 provider `cloudflare`: its fields in a manifest, their rules, and its Secrets. `api` has the
client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from certmill.clock import Clock
from certmill.dns01.base import Provider, ProviderConfig
from certmill.model.issuer import NeededSecret, SecretKeyRef
from certmill.model.manifests.issuer.dns01 import ProviderSchema
from certmill.model.manifests.schema import Line, SecretKeySelector, refuse_if, secret_key_ref

if TYPE_CHECKING:
    from certmill.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloudflare(ProviderConfig):
    """Credentials for Cloudflare: exactly one of `api_token` and `api_key`; `email` is needed with
    `api_key`."""

    field: ClassVar[str] = "cloudflare"

    email: str = ""
    api_token: SecretKeyRef | None = None
    api_key: SecretKeyRef | None = None

    @property
    def secrets(self) -> tuple[NeededSecret, ...]:
        """The token or the key."""
        ref = self.api_token or self.api_key
        return (NeededSecret(ref=ref, purpose="Cloudflare credential"),) if ref is not None else ()

    @property
    def summary(self) -> str:
        """The name of the service."""
        return "Cloudflare"

    def account(self, namespace: str) -> str:
        """One for each credential."""
        credential = self.api_token or self.api_key
        secret = f"{credential.name}/{credential.key}" if credential is not None else self.email
        return f"cloudflare {namespace}/{secret}"

    def document(self) -> Mapping[str, object]:
        """The fields as in a manifest."""
        return {
            "email": self.email,
            "apiTokenSecretRef": self.api_token,
            "apiKeySecretRef": self.api_key,
        }

    def build(self, credentials: Mapping[SecretKeyRef, str], *, settings: Settings, clock: Clock) -> Provider:
        """Return a client of the API at CERTMILL_CLOUDFLARE_API_URL."""
        from certmill.dns01.providers.cloudflare.api import CloudflareProvider

        return CloudflareProvider(
            api_url=settings.cloudflare_api_url,
            token=credentials[self.api_token] if self.api_token is not None else None,
            email=self.email,
            key=credentials[self.api_key] if self.api_key is not None else None,
            clock=clock,
        )


class CloudflareSchema(ProviderSchema):
    """dns01.cloudflare."""

    config_type: ClassVar = Cloudflare

    email: Line | None = None
    api_key_secret_ref: SecretKeySelector | None = None
    api_token_secret_ref: SecretKeySelector | None = None

    def config(self, path: str) -> Cloudflare:
        """Check the fields together."""
        token, key = self.api_token_secret_ref, self.api_key_secret_ref
        refuse_if(
            (token is None) is (key is None),
            "needs exactly one of apiTokenSecretRef and apiKeySecretRef",
            path,
        )
        refuse_if(key is not None and not self.email, "is required with apiKeySecretRef", f"{path}.email")
        return Cloudflare(
            email=self.email or "",
            api_token=secret_key_ref(token) if token is not None else None,
            api_key=secret_key_ref(key) if key is not None else None,
        )


PROVIDER = CloudflareSchema
