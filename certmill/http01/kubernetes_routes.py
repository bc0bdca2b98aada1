"""The way of the CA's request to the responder, made and taken away in the API: Service, EndpointSlices, and
an Ingress or a path in one.

Everything is idempotent and safe to repeat; opening again heals what somebody changed meanwhile. Whatever is
ours in a namespace goes when its last challenge does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from certmill.errors import Conflict, Permanent, SolverMisconfigured
from certmill.http01 import edit_in_place, service
from certmill.http01.ingress import SOLVER_LABEL, led_for, solver_ingress, solver_ingress_name
from certmill.http01.managed_fields import given_back
from certmill.http01.route_choice import EditIngress, OwnIngress, way
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
"""Others have a kind of this name too (F5's cis.f5.com)."""


class KubernetesRoutes:
    """An Routes (http01.base) by Ingress. `addresses` are the responders' now, `port` theirs."""

    def __init__(self, client: KubeClient, addresses: Callable[[], Sequence[str]], port: int) -> None:
        self._client = client
        self._addresses = addresses
        self._port = port

    def way(self, certificate: Certificate, solver: Http01Solver) -> str:
        chosen = way(solver, certificate.annotations)
        return f"{_EDIT}{chosen.name}" if isinstance(chosen, EditIngress) else _OWN

    def open(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        self._lead_to_responder(certificate.namespace)
        chosen = way(solver, certificate.annotations)
        if isinstance(chosen, OwnIngress):
            self._client.apply(INGRESSES, solver_ingress(certificate, host, chosen, token))
            return

        def with_path(ingress: JsonObject) -> JsonObject | None:
            if edit_in_place.is_master(ingress):
                raise SolverMisconfigured(
                    f"the Ingress {certificate.namespace}/{chosen.name} is a master of mergeable Ingresses, "
                    "which NGINX takes with no path "
                    "only; take edit in place away, and give the solver an ingressTemplate with the "
                    "annotation "
                    f"{edit_in_place.MERGEABLE}: minion"
                )
            return edit_in_place.with_challenge_path(ingress, host, certificate.name, token)

        if not self._edited(certificate.namespace, chosen.name, with_path):
            raise SolverMisconfigured(
                f"the Ingress {certificate.namespace}/{chosen.name}, which the challenge for {host} is to "
                "be led through, is not there; "
                "create it, or use another solver"
            )

    def redirects(self, certificate: Certificate) -> bool:
        """Whether it is owned by a VirtualServer with tls.redirect.enable: NGINX redirects its challenges
        too, and while the Secret is not there it refuses the handshake (kubernetes-ingress #8469). Whoever
        made the Certificate, it has its owner."""
        found = self._client.get(CERTIFICATES, certificate.namespace, certificate.name)
        owners = meta_of(found).owners if found is not None else ()
        named = [
            one.name for one in owners if one.controller and (one.api_version, one.kind) == _VIRTUAL_SERVER
        ]
        with suppress(Permanent, NotServed):  # no role for them, or no such kind: the self check finds it out
            served = [self._client.get(VIRTUAL_SERVERS, certificate.namespace, name) for name in named]
            return any(redirects_to_https(body) for body in served if body is not None)
        return False

    def close(self, certificate: CertificateId, host: str, way: str) -> None:
        namespace, name = split_id(certificate)
        if way == _OWN:
            self._client.delete(INGRESSES, namespace, solver_ingress_name(certificate, host))
        elif way.startswith(_EDIT):
            self._edited(
                namespace,
                way.removeprefix(_EDIT),
                lambda ingress: edit_in_place.without_challenge_path(ingress, host, name),
            )
        else:
            return
        self._leave(namespace)

    def clear(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        found = self._client.get(INGRESSES, namespace, ingress)
        if found is None:
            return
        if (name := led_for(found)) and is_over(certificate_id(namespace, name)):
            self._client.delete(INGRESSES, namespace, ingress, uid=meta_of(found).uid)
            self._leave(namespace)
        if over := [
            name
            for name in edit_in_place.certificates_served(found)
            if is_over(certificate_id(namespace, name))
        ]:
            self._edited(namespace, ingress, lambda body: edit_in_place.without_certificates(body, over))
            self._leave(namespace)

    def _edited(self, namespace: str, name: str, change: Callable[[JsonObject], JsonObject | None]) -> bool:
        """Change the user's Ingress, over whatever else changes it at the same time; False if it is not
        there."""
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
        raise Conflict(f"the Ingress {namespace}/{name} is being changed again and again")

    def _give_back(self, before: JsonObject, written: JsonObject | None) -> None:
        """Leave every field to its owner. Others may write in the same moment, as an ingress controller its
        status."""
        meta = meta_of(before)
        for _ in range(_TRIES):
            patch = given_back(before, written) if written is not None else None
            if patch is None:
                return
            with suppress(Conflict):
                self._client.merge(INGRESSES, meta.namespace, meta.name, patch)
                return
            written = self._client.get(INGRESSES, meta.namespace, meta.name)

    def _lead_to_responder(self, namespace: str) -> None:
        addresses = self._addresses()
        if not addresses:
            raise SolverMisconfigured(
                "no responder is running, to which a challenge could be led; see the responder's "
                "Deployment, and that its Service is "
                "CERTMILL_RESPONDER_SERVICE in CERTMILL_NAMESPACE"
            )
        self._client.apply(SERVICES, service.responder_service(namespace, self._port))
        for family in service.FAMILIES:
            slice_ = service.responder_slice(namespace, addresses, self._port, family=family)
            if slice_["endpoints"]:
                self._client.apply(ENDPOINT_SLICES, slice_)

    def _leave(self, namespace: str) -> None:
        """Take the Service and its slices away when no Ingress of the namespace leads to it any more; back,
        if one came meanwhile."""
        if self._is_needed(namespace):
            return
        for family in service.FAMILIES:
            name = service.slice_name(family)
            # NGINX keeps the addresses of a slice that is deleted, not of one that is emptied (measured). No
            # apply: where the namespace is being deleted, that would make anew what went meanwhile, and be
            # refused.
            if self._client.merge(ENDPOINT_SLICES, namespace, name, {"endpoints": []}) is not None:
                self._client.delete(ENDPOINT_SLICES, namespace, name)
        self._client.delete(SERVICES, namespace, service.SERVICE_NAME)
        if self._is_needed(namespace):
            self._lead_to_responder(namespace)

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
    """Where the responders are: the ready addresses of their own Service's EndpointSlices, looked up every
    few seconds at most."""

    def __init__(self, client: KubeClient, namespace: str, service_name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = f"kubernetes.io/service-name={service_name}"
        self._kept: tuple[float, tuple[str, ...]] = (0.0, ())

    def __call__(self) -> Sequence[str]:
        looked_at, found = self._kept
        now = time.monotonic()
        if not found or now - looked_at > _FRESH_SECONDS:
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
