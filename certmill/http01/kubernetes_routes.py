"""HTTP-01 routes in Kubernetes: create and delete the Service, the EndpointSlices, and the Ingress or the
path in the user's Ingress.

All operations are idempotent. `present` again repairs objects that somebody changed. Our objects in a
namespace are deleted after its last challenge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from certmill.errors import Conflict, Permanent, SolverMisconfigured
from certmill.http01 import edit_in_place, service
from certmill.http01.ingress import SOLVER_LABEL, solver_certificate, solver_ingress, solver_ingress_name
from certmill.http01.managed_fields import given_back
from certmill.http01.route_choice import EditIngress, OwnIngress, choose_route
from certmill.kube.answers import NotServed
from certmill.kube.client import KubeClient
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text
from certmill.kube.resources import CERTIFICATES, ENDPOINT_SLICES, INGRESSES, SERVICES, VIRTUAL_SERVERS
from certmill.model.certificate import Certificate
from certmill.model.issuer import Http01Solver
from certmill.model.names import CertificateId, certificate_id, split_id

_TRIES: Final = 5
_FRESH_SECONDS: Final = 5.0
_OWN: Final = "own"
_EDIT: Final = "edit:"
_VIRTUAL_SERVER: Final = (VIRTUAL_SERVERS.api_version, VIRTUAL_SERVERS.kind)
"""The API version is compared too, because other products have a kind of this name (F5's cis.f5.com)."""


class KubernetesRoutes:
    """Routes (http01.base) by Ingress. `addresses()` returns the responders' current addresses; `port` is
    their port."""

    def __init__(self, client: KubeClient, addresses: Callable[[], Sequence[str]], port: int) -> None:
        self._client = client
        self._addresses = addresses
        self._port = port

    def route_name(self, certificate: Certificate, solver: Http01Solver) -> str:
        chosen = choose_route(solver, certificate.annotations)
        return f"{_EDIT}{chosen.name}" if isinstance(chosen, EditIngress) else _OWN

    def present(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        self._create_service(certificate.namespace)
        chosen = choose_route(solver, certificate.annotations)
        if isinstance(chosen, OwnIngress):
            self._client.apply(INGRESSES, solver_ingress(certificate, host, chosen, token))
            return

        def with_path(ingress: JsonObject) -> JsonObject | None:
            if edit_in_place.is_master(ingress):
                raise SolverMisconfigured(
                    f"the Ingress {certificate.namespace}/{chosen.name} is a master of mergeable Ingresses, "
                    "and NGINX refuses paths in a master; do not use edit in place, and give the solver an "
                    f"ingressTemplate with the annotation {edit_in_place.MERGEABLE}: minion"
                )
            return edit_in_place.with_challenge_path(ingress, host, certificate.name, token)

        if not self._edited(certificate.namespace, chosen.name, with_path):
            raise SolverMisconfigured(
                f"the Ingress {certificate.namespace}/{chosen.name} for the challenge of {host} does not "
                "exist; create it, or use another solver"
            )

    def redirects(self, certificate: Certificate) -> bool:
        """Whether the Certificate's owner is a VirtualServer with tls.redirect.enable. NGINX then redirects
        challenges too, and refuses the TLS handshake until the Secret exists (kubernetes-ingress #8469)."""
        found = self._client.get(CERTIFICATES, certificate.namespace, certificate.name)
        owners = meta_of(found).owners if found is not None else ()
        named = [
            one.name for one in owners if one.controller and (one.api_version, one.kind) == _VIRTUAL_SERVER
        ]
        with suppress(Permanent, NotServed):  # no role for them, or no such kind: the self check finds it out
            served = [self._client.get(VIRTUAL_SERVERS, certificate.namespace, name) for name in named]
            return any(redirects_to_https(body) for body in served if body is not None)
        return False

    def cleanup(self, certificate: CertificateId, host: str, route: str) -> None:
        namespace, name = split_id(certificate)
        if route == _OWN:
            self._client.delete(INGRESSES, namespace, solver_ingress_name(certificate, host))
        elif route.startswith(_EDIT):
            self._edited(
                namespace,
                route.removeprefix(_EDIT),
                lambda ingress: edit_in_place.without_challenge_path(ingress, host, name),
            )
        else:
            return
        self._delete_unused_service(namespace)

    def collect_orphans(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        found = self._client.get(INGRESSES, namespace, ingress)
        if found is None:
            return
        if (name := solver_certificate(found)) and is_over(certificate_id(namespace, name)):
            self._client.delete(INGRESSES, namespace, ingress, uid=meta_of(found).uid)
            self._delete_unused_service(namespace)
        if over := [
            name
            for name in edit_in_place.certificates_served(found)
            if is_over(certificate_id(namespace, name))
        ]:
            self._edited(namespace, ingress, lambda body: edit_in_place.without_certificates(body, over))
            self._delete_unused_service(namespace)

    def _edited(self, namespace: str, name: str, change: Callable[[JsonObject], JsonObject | None]) -> bool:
        """Change the user's Ingress; repeat after a conflict. False if the Ingress does not exist."""
        for _ in range(_TRIES):
            ingress = self._client.get(INGRESSES, namespace, name)
            if ingress is None:
                return False
            changed = change(ingress)
            if changed is None:
                return True
            with suppress(Conflict):
                written = self._client.update(INGRESSES, changed)
                self._give_back(ingress, written)
                return written is not None
        raise Conflict(f"the Ingress {namespace}/{name} was changed by others during all {_TRIES} tries")

    def _give_back(self, before: JsonObject, written: JsonObject | None) -> None:
        """Restore the field owners (managedFields). Others may write at the same time, for example an ingress
        controller its status, so repeat after a conflict."""
        meta = meta_of(before)
        for _ in range(_TRIES):
            patch = given_back(before, written) if written is not None else None
            if patch is None:
                return
            with suppress(Conflict):
                self._client.merge(INGRESSES, meta.namespace, meta.name, patch)
                return
            written = self._client.get(INGRESSES, meta.namespace, meta.name)

    def _create_service(self, namespace: str) -> None:
        addresses = self._addresses()
        if not addresses:
            raise SolverMisconfigured(
                "no responder is ready to answer challenges; check the responder's Deployment, and that its "
                "Service is CERTMILL_RESPONDER_SERVICE in CERTMILL_NAMESPACE"
            )
        self._client.apply(SERVICES, service.responder_service(namespace, self._port))
        for family in service.FAMILIES:
            slice_ = service.responder_slice(namespace, addresses, self._port, family=family)
            if slice_["endpoints"]:
                self._client.apply(ENDPOINT_SLICES, slice_)

    def _delete_unused_service(self, namespace: str) -> None:
        """Delete the Service and its slices if no Ingress of the namespace uses them. Create them again if an
        Ingress was created meanwhile."""
        if self._is_needed(namespace):
            return
        for family in service.FAMILIES:
            name = service.slice_name(family)
            # NGINX keeps using the addresses of a deleted slice, so the slice is emptied first (measured).
            # Not by apply: that would create a missing slice, which is refused in a namespace that is being
            # deleted.
            if self._client.merge(ENDPOINT_SLICES, namespace, name, {"endpoints": []}) is not None:
                self._client.delete(ENDPOINT_SLICES, namespace, name)
        self._client.delete(SERVICES, namespace, service.SERVICE_NAME)
        if self._is_needed(namespace):
            self._create_service(namespace)

    def _is_needed(self, namespace: str) -> bool:
        found = (
            item
            for page in self._client.pages(INGRESSES, namespace, metadata_only=True)
            for item in page.items
        )
        return any(
            meta_of(item).labels.get(SOLVER_LABEL) == "true" or edit_in_place.certificates_served(item)
            for item in found
        )


def redirects_to_https(virtual_server: Mapping[str, object]) -> bool:
    """Whether a VirtualServer has tls.redirect.enable."""
    tls = mapping(mapping(virtual_server.get("spec")).get("tls"))
    return mapping(tls.get("redirect")).get("enable") is True


class ResponderAddresses:
    """The responders' addresses: the ready endpoints of their Service, cached for a few seconds."""

    def __init__(self, client: KubeClient, namespace: str, service_name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = f"kubernetes.io/service-name={service_name}"
        self._kept: tuple[float, tuple[str, ...]] = (0.0, ())

    def __call__(self) -> Sequence[str]:
        read_at, found = self._kept
        now = time.monotonic()
        if not found or now - read_at > _FRESH_SECONDS:
            items = self._client.list(ENDPOINT_SLICES, self._namespace, labels=self._labels).items
            found = tuple(sorted({address for item in items for address in _ready(item)}))
            self._kept = (now, found)
        return found


def _ready(slice_: Mapping[str, object]) -> Sequence[str]:
    endpoints = [mapping(endpoint) for endpoint in sequence(slice_.get("endpoints"))]
    return [
        text(address)
        for one in endpoints
        if mapping(one.get("conditions")).get("ready") is not False
        for address in sequence(one.get("addresses"))
    ]
