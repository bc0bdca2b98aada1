"""Check the fields of spec.acme.solvers[i], and build the Solver.

The rules are cert-manager's (internal/apis/certmanager/validation/issuer.go). Last, fields that certmill
would ignore are refused."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

from certmill.errors import InvalidManifest
from certmill.model.identifiers import host_and_port, shown
from certmill.model.issuer import (
    Cloudflare,
    Dns01Provider,
    Dns01Solver,
    Http01Solver,
    IngressTemplate,
    Protocol,
    Rfc2136,
    SecretKeyRef,
    Selector,
    Solver,
    TsigAlgorithm,
)
from certmill.model.manifests.schema import SecretKeySelector, not_acted_on, refuse_if
from certmill.model.manifests.schema_solver import (
    AzureDns,
    CloudflareSchema,
    Dns01Schema,
    Http01Schema,
    IngressSolver,
    IngressTemplateSchema,
    Rfc2136Schema,
    Route53,
    SelectorSchema,
    SolverSchema,
)

_INSTEAD = "remove it, or keep cert-manager for this issuer"

_ONLY_PROVIDERS = "only rfc2136 and cloudflare are known"
_TSIG_KEY_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


def solver_of(solver: SolverSchema, path: str) -> Solver:
    """The solver. Raises InvalidManifest."""
    has_both = solver.http01 is not None and solver.dns01 is not None
    refuse_if(has_both, "may have only one of http01 and dns01", path)
    refuse_if(solver.http01 is None and solver.dns01 is None, "needs one of http01 and dns01", path)
    wait = solver.wait_instead_of_self_check
    refuse_if(
        wait is not None and wait < timedelta(), "must not be negative", f"{path}.waitInsteadOfSelfCheck"
    )
    return Solver(
        selector=_selector(solver.selector) if solver.selector is not None else None,
        http01=_http01(solver.http01, f"{path}.http01") if solver.http01 is not None else None,
        dns01=_dns01(solver.dns01, f"{path}.dns01") if solver.dns01 is not None else None,
        wait_instead_of_self_check=wait,
    )


def secret_key_ref(selector: SecretKeySelector) -> SecretKeyRef:
    """A reference to a key of a Secret."""
    return SecretKeyRef(name=selector.name, key=selector.key)


def _selector(selector: SelectorSchema) -> Selector:
    return Selector(
        match_labels=selector.match_labels or {},
        dns_names=tuple(dict.fromkeys(selector.dns_names or ())),
        dns_zones=tuple(dict.fromkeys(selector.dns_zones or ())),
    )


def _http01(http01: Http01Schema, path: str) -> Http01Solver:
    ingress, gateway = http01.ingress, http01.gateway_http_route
    refuse_if(
        ingress is not None and gateway is not None, "may have only one of ingress and gatewayHTTPRoute", path
    )
    if gateway is not None:
        for index, ref in enumerate(gateway.parent_refs or ()):
            refuse_if(
                bool(ref.name) is not bool(ref.kind),
                "needs kind and name together",
                f"{path}.gatewayHTTPRoute.parentRefs[{index}]",
            )
        raise not_acted_on(f"{path}.gatewayHTTPRoute", instead=f"use http01.ingress or dns01; {_INSTEAD}")
    if ingress is None:
        raise InvalidManifest("needs ingress", path=path)
    return _ingress(ingress, f"{path}.ingress")


def _ingress(ingress: IngressSolver, path: str) -> Http01Solver:
    ways = (ingress.ingress_class, ingress.ingress_class_name, ingress.name)
    refuse_if(
        sum(way is not None for way in ways) > 1,
        "may have only one of ingressClassName, class and name",
        path,
    )
    return Http01Solver(
        ingress_class=ingress.ingress_class,
        ingress_class_name=ingress.ingress_class_name,
        ingress_name=ingress.name,
        service_type=ingress.service_type or None,
        ingress_template=_ingress_template(ingress.ingress_template),
    )


def _ingress_template(template: IngressTemplateSchema | None) -> IngressTemplate:
    metadata = template.metadata if template is not None else None
    if metadata is None:
        return IngressTemplate()
    return IngressTemplate(labels=metadata.labels or {}, annotations=metadata.annotations or {})


def _dns01(dns01: Dns01Schema, path: str) -> Dns01Solver:
    chosen = _providers(dns01)
    refuse_if(not chosen, "needs a provider", path)
    refuse_if(len(chosen) > 1, f"may have only one provider, and has {' and '.join(chosen)}", path)
    return Dns01Solver(
        provider=_provider(dns01, chosen[0], path),
        follow_cname=dns01.cname_strategy == "Follow",
        nameservers=tuple(
            _nameserver(text, f"{path}.nameservers[{index}]")
            for index, text in enumerate(dns01.nameservers or ())
        ),
    )


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


def _providers(dns01: Dns01Schema) -> list[str]:
    """The configured providers, by the names of their fields."""
    given = {
        "akamai": dns01.akamai,
        "cloudDNS": dns01.cloud_dns,
        "cloudflare": dns01.cloudflare,
        "route53": dns01.route53,
        "azureDNS": dns01.azure_dns,
        "digitalocean": dns01.digitalocean,
        "acmeDNS": dns01.acme_dns,
        "rfc2136": dns01.rfc2136,
        "webhook": dns01.webhook,
    }
    return [name for name, provider in given.items() if provider is not None]


def _provider(dns01: Dns01Schema, name: str, path: str) -> Dns01Provider:
    if dns01.rfc2136 is not None:
        return _rfc2136(dns01.rfc2136, f"{path}.rfc2136")
    if dns01.cloudflare is not None:
        return _cloudflare(dns01.cloudflare, f"{path}.cloudflare")
    if dns01.route53 is not None:
        _check_route53(dns01.route53, f"{path}.route53")
    if dns01.azure_dns is not None:
        _check_azure(dns01.azure_dns, f"{path}.azureDNS")
    raise not_acted_on(f"{path}.{name}", instead=f"{_ONLY_PROVIDERS}; {_INSTEAD}")


def _rfc2136(rfc2136: Rfc2136Schema, path: str) -> Rfc2136:
    try:
        host, port = host_and_port(rfc2136.nameserver.strip())
    except ValueError as error:
        raise InvalidManifest(str(error), path=f"{path}.nameserver") from None
    key_name, secret = rfc2136.tsig_key_name or "", rfc2136.tsig_secret_secret_ref
    refuse_if(
        bool(key_name) and secret is None, "is required with tsigKeyName", f"{path}.tsigSecretSecretRef"
    )
    refuse_if(
        secret is not None and not key_name, "is required with tsigSecretSecretRef", f"{path}.tsigKeyName"
    )
    refuse_if(
        bool(key_name) and not _TSIG_KEY_NAME.fullmatch(key_name),
        f"{shown(key_name)} is not a valid name of a key",
        f"{path}.tsigKeyName",
    )
    algorithm = (rfc2136.tsig_algorithm or "HMACMD5").upper()
    known = list(TsigAlgorithm)
    refuse_if(
        algorithm not in known, f"must be {', '.join(known[:-1])} or {known[-1]}", f"{path}.tsigAlgorithm"
    )
    return Rfc2136(
        nameserver=host,
        port=port or 53,
        tsig_key_name=key_name,
        tsig_secret=secret_key_ref(secret) if secret is not None else None,
        tsig_algorithm=TsigAlgorithm(algorithm),
        protocol=Protocol(rfc2136.protocol or "UDP"),
    )


def _cloudflare(cloudflare: CloudflareSchema, path: str) -> Cloudflare:
    token, key = cloudflare.api_token_secret_ref, cloudflare.api_key_secret_ref
    refuse_if(
        (token is None) is (key is None), "needs exactly one of apiTokenSecretRef and apiKeySecretRef", path
    )
    refuse_if(key is not None and not cloudflare.email, "is required with apiKeySecretRef", f"{path}.email")
    return Cloudflare(
        email=cloudflare.email or "",
        api_token=secret_key_ref(token) if token is not None else None,
        api_key=secret_key_ref(key) if key is not None else None,
    )


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
