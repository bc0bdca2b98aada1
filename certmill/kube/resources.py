"""The API's resources that certmill reads or writes, and their paths."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


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
        """The URL's path of one object, or of a collection (of all namespaces without one)."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


CERTIFICATES = Resource(group="cert-manager.io", version="v1", plural="certificates", kind="Certificate")
ISSUERS = Resource(group="cert-manager.io", version="v1", plural="issuers", kind="Issuer")
CLUSTER_ISSUERS = Resource(group="cert-manager.io", version="v1", plural="clusterissuers", kind="ClusterIssuer", namespaced=False)
VIRTUAL_SERVERS = Resource(group="k8s.nginx.org", version="v1", plural="virtualservers", kind="VirtualServer")
INGRESSES = Resource(group="networking.k8s.io", version="v1", plural="ingresses", kind="Ingress")
SECRETS = Resource(version="v1", plural="secrets", kind="Secret")
SERVICES = Resource(version="v1", plural="services", kind="Service")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice")
EVENTS = Resource(version="v1", plural="events", kind="Event")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
NAMESPACES = Resource(version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io", version="v1", plural="customresourcedefinitions", kind="CustomResourceDefinition", namespaced=False
)
