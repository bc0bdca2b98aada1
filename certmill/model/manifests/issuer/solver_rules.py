"""Check the fields of spec.acme.solvers[i], and build the Solver.

The rules are cert-manager's (internal/apis/certmanager/validation/issuer.go). Last, fields that certmill
would ignore are refused."""

from __future__ import annotations

from datetime import timedelta

from certmill.errors import InvalidManifest
from certmill.model.issuer import Http01Solver, IngressTemplate, Selector, Solver
from certmill.model.manifests.issuer.dns01_rules import INSTEAD, dns01_of
from certmill.model.manifests.issuer.solver_schema import (
    Http01Schema,
    IngressSolver,
    IngressTemplateSchema,
    SelectorSchema,
    SolverSchema,
)
from certmill.model.manifests.schema import not_acted_on, refuse_if


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
        dns01=dns01_of(solver.dns01, f"{path}.dns01") if solver.dns01 is not None else None,
        wait_instead_of_self_check=wait,
    )


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
        raise not_acted_on(f"{path}.gatewayHTTPRoute", instead=f"use http01.ingress or dns01; {INSTEAD}")
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
