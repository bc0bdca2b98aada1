"""Check the dns01 field of a solver, and build the Dns01Solver.

The rules are cert-manager's (internal/apis/certmanager/validation/issuer.go). Each provider's module has the
rules of its own fields; those of the providers that certmill has not are here."""

from __future__ import annotations

from urllib.parse import urlsplit

from certmill.errors import InvalidManifest
from certmill.model.identifiers import host_and_port, shown
from certmill.model.issuer import Dns01Config, Dns01Solver
from certmill.model.manifests.issuer.dns01 import Dns01Schema, ProviderSchema, providers
from certmill.model.manifests.issuer.dns01_schema import AzureDns, Route53
from certmill.model.manifests.schema import Schema, not_acted_on, refuse_if

INSTEAD = "remove it, or keep cert-manager for this issuer"


def dns01_of(dns01: Dns01Schema, path: str) -> Dns01Solver:
    """The solver. Raises InvalidManifest."""
    given = dns01.given
    refuse_if(not given, "needs a provider", path)
    refuse_if(len(given) > 1, f"may have only one provider, and has {' and '.join(given)}", path)
    ((name, provider),) = given.items()
    return Dns01Solver(
        provider=_config(provider, f"{path}.{name}"),
        follow_cname=dns01.cname_strategy == "Follow",
        nameservers=tuple(
            _nameserver(text, f"{path}.nameservers[{index}]")
            for index, text in enumerate(dns01.nameservers or ())
        ),
    )


def _config(provider: Schema, path: str) -> Dns01Config:
    match provider:
        case ProviderSchema():
            return provider.config(path)
        case Route53():
            _check_route53(provider, path)
        case AzureDns():
            _check_azure(provider, path)
    known = " and ".join(sorted(providers()))
    raise not_acted_on(path, instead=f"only {known} are known; {INSTEAD}")


def _nameserver(text: str, path: str) -> str:
    """`192.0.2.1:53`, or the https:// URL of a DNS-over-HTTPS server (RFC 8484)."""
    if text.startswith("https://"):
        refuse_if(
            not _has_host(text), f"{shown(text)} is not the https:// URL of a DNS-over-HTTPS server", path
        )
        return text
    try:
        host, port = host_and_port(text)
    except ValueError as error:
        raise InvalidManifest(str(error), path=path) from None
    refuse_if(
        port is None, f"{shown(text)} has no port: write 192.0.2.1:53, [2001:db8::1]:53 or https://…", path
    )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _check_route53(route53: Route53, path: str) -> None:
    both = bool(route53.access_key_id) and route53.access_key_id_secret_ref is not None
    refuse_if(both, "may have only one of accessKeyID and accessKeyIDSecretRef", path)


def _check_azure(azure: AzureDns, path: str) -> None:
    principal = (azure.client_id, azure.client_secret_secret_ref, azure.tenant_id)
    identity = azure.managed_identity
    if any(principal):
        refuse_if(not all(principal), "needs clientID, clientSecretSecretRef and tenantID together", path)
        refuse_if(identity is not None, "cannot be set together with clientID", f"{path}.managedIdentity")
    elif identity is not None:
        refuse_if(
            bool(identity.client_id and identity.resource_id),
            "may have only one of clientID and resourceID",
            f"{path}.managedIdentity",
        )
        refuse_if(
            bool(identity.tenant_id) and not identity.client_id,
            "needs clientID with tenantID",
            f"{path}.managedIdentity",
        )
