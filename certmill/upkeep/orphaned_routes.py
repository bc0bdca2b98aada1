"""Removes HTTP-01 routes that have no run, for example after Redis lost its data during a challenge. One
Ingress per call."""

from __future__ import annotations

from certmill.model.names import CertificateId
from certmill.runs.ports import Ports


class OrphanedRoutes:
    """Removes HTTP-01 routes that have no run. One instance per process."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def collect(self, reference: str) -> None:
        """Remove the orphaned routes in the Ingress `namespace/name`. Raises Temporary, Forbidden."""
        namespace, _, name = reference.partition("/")
        self._ports.routes.collect_orphans(namespace, name, self._has_no_run)

    def _has_no_run(self, certificate: CertificateId) -> bool:
        """Whether the Certificate has no run. The record shows a run before the run creates a route, and
        until it has removed the route."""
        record = self._ports.records.read(certificate)
        return record is None or not record.step
