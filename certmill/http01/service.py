"""The Service and the EndpointSlices that stand for the responder in a namespace: an Ingress can only point
to a Service of its own. Pure.

The Service has no selector, so the slices are ours to write. NGINX (measured): `ready` has to be written out,
the slice's port must be the Service's targetPort, and that a number; a slice that is deleted goes unnoticed,
one that is emptied does not. A slice keeps its family for life, so there is one for each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from certmill.kube.objects import JsonObject
from certmill.kube.resources import ENDPOINT_SLICES, SERVICES
from certmill.model.identifiers import is_ip_address

SERVICE_NAME: Final = "certmill-http01"
SERVICE_PORT: Final = 8089
"""What Ingresses point to, whatever port the responder listens on: cert-manager's, which network policies may
know."""

MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "certmill"}
"""A label of everything that we make for a challenge."""

Family: TypeAlias = Literal["IPv4", "IPv6"]
FAMILIES: Final[tuple[Family, ...]] = ("IPv4", "IPv6")

_PORT_NAME: Final = "http"


def responder_service(namespace: str, port: int) -> JsonObject:
    """The Service that leads to the responders' `port`."""
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {"name": SERVICE_NAME, "namespace": namespace, "labels": dict(MANAGED_BY)},
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": _PORT_NAME, "protocol": "TCP", "port": SERVICE_PORT, "targetPort": port}],
        },
    }


def slice_name(family: Family) -> str:
    """The name of the EndpointSlice of one family."""
    return f"{SERVICE_NAME}-{family.lower()}"


def responder_slice(
    namespace: str, addresses: Iterable[str], port: int, *, family: Family = "IPv4"
) -> JsonObject:
    """The EndpointSlice with those of `addresses` that are of one family; with none of them it is empty,
    which is how it is to end."""
    version = 4 if family == "IPv4" else 6
    usable = (
        text for text in addresses if is_ip_address(text)
    )  # a slice may have host names (addressType FQDN)
    found = sorted(
        {address for text in usable if (address := ipaddress.ip_address(text)).version == version}, key=int
    )
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {
            "name": slice_name(family),
            "namespace": namespace,
            "labels": {
                **MANAGED_BY,
                "kubernetes.io/service-name": SERVICE_NAME,
                # Kubernetes' own controllers leave slices of another manager alone.
                "endpointslice.kubernetes.io/managed-by": "certmill",
            },
        },
        "addressType": family,
        "ports": [{"name": _PORT_NAME, "protocol": "TCP", "port": port}],
        "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}} for address in found],
    }
