"""Build the Service and the EndpointSlices for the responder in a tenant's namespace, because an Ingress can
use only Services of its namespace. Pure.

The Service has no selector, so certmill writes the slices. NGINX (measured) needs an explicit `ready`, and a
slice port that equals the Service's numeric targetPort; it notices an emptied slice, but not a deleted one.
The address family of a slice cannot change, so each family has a slice."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from certmill.kube.objects import JsonObject
from certmill.kube.resources import ENDPOINT_SLICES, SERVICES
from certmill.model.identifiers import is_ip_address

SERVICE_NAME: Final = "certmill-http01"
SERVICE_PORT: Final = 8089
"""The port of the Service, whatever port the responder listens on. It is cert-manager's port, because network
policies may allow it."""

MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "certmill"}
"""A label of every object that certmill creates for a challenge."""

Family: TypeAlias = Literal["IPv4", "IPv6"]
FAMILIES: Final[tuple[Family, ...]] = ("IPv4", "IPv6")

_PORT_NAME: Final = "http"


def responder_service(namespace: str, port: int) -> JsonObject:
    """The Service for the responders' `port`."""
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
    """The EndpointSlice with the `addresses` of one family. Without any it is empty; a slice is emptied
    before it is deleted."""
    version = 4 if family == "IPv4" else 6
    usable = (
        text for text in addresses if is_ip_address(text)
    )  # the responder's own slice may have host names (addressType FQDN)
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
                # Kubernetes' controllers do not change slices with another manager.
                "endpointslice.kubernetes.io/managed-by": "certmill",
            },
        },
        "addressType": family,
        "ports": [{"name": _PORT_NAME, "protocol": "TCP", "port": port}],
        "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}} for address in found],
    }
