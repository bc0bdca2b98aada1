"""The API's resources that certmill and its tests read or write, and their paths."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from certmill.errors import InvalidManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object in the API. `group` "" is the core group."""

    group: str = ""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in a manifest: `v1`, `cert-manager.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL's path of one object, or of a collection (of all namespaces without one).

        Raises InvalidManifest for a name that would lead elsewhere: without one, a deletion is of all
        objects; `..` is their namespace."""
        if not _is_segment(namespace or "x") or (name is not None and not _is_segment(name)):
            raise InvalidManifest(
                f"{namespace or ''}/{name or ''} is not a valid name for a {self.kind}"[:200],
                path="metadata.name",
            )
        if name is not None and self.namespaced and not namespace:
            raise InvalidManifest(f"the {self.kind} {name} has no namespace"[:200], path="metadata.namespace")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


def _is_segment(name: str) -> bool:
    """Whether a name is one segment of a path, as the API server sees it."""
    return name not in ("", ".", "..") and "/" not in name and "%" not in name


CERTIFICATES = Resource(group="cert-manager.io", version="v1", plural="certificates", kind="Certificate")
ISSUERS = Resource(group="cert-manager.io", version="v1", plural="issuers", kind="Issuer")
CLUSTER_ISSUERS = Resource(
    group="cert-manager.io", version="v1", plural="clusterissuers", kind="ClusterIssuer", namespaced=False
)
VIRTUAL_SERVERS = Resource(group="k8s.nginx.org", version="v1", plural="virtualservers", kind="VirtualServer")
INGRESSES = Resource(group="networking.k8s.io", version="v1", plural="ingresses", kind="Ingress")
SECRETS = Resource(version="v1", plural="secrets", kind="Secret")
SERVICES = Resource(version="v1", plural="services", kind="Service")
ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice"
)
EVENTS = Resource(version="v1", plural="events", kind="Event")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
NAMESPACES = Resource(version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
)
