"""OrphanedRoutes to the responder that no run closes any more, as after Redis has lost its memory in
mid-challenge: closed, an Ingress at a time."""

from __future__ import annotations

from certmill.model.names import CertificateId
from certmill.runs.context import Ports


class OrphanedRoutes:
    """Closes what is open for no run. One per process."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def clear(self, reference: str) -> None:
        """Look at the Ingress `namespace/name`. Raises Temporary, Forbidden."""
        namespace, _, name = reference.partition("/")
        self._ports.routes.clear(namespace, name, self._has_no_run)

    def _has_no_run(self, certificate: CertificateId) -> bool:
        """A run is in its record before it opens a way, and until it has closed it."""
        record = self._ports.records.read(certificate)
        return record is None or not record.step
