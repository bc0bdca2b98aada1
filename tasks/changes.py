"""Reconciles the objects of a cluster that have changed; the controller publishes these tasks:
`reconcile.<kind>` (certmill.contract)."""

from __future__ import annotations

from collections.abc import Sequence

from celery import shared_task

from certmill.contract import RECONCILE_TASKS
from certmill.model.names import CertificateId
from tasks.base import Patient


@shared_task(bind=True, base=Patient, name=RECONCILE_TASKS["Certificate"])
def reconcile_certificate(self: Patient, reference: str) -> None:
    """Begin the Certificate's run, if the stored pair does not match the desired one."""
    self.publish_begun(CertificateId(reference), self.runtime.reconciler.reconcile(CertificateId(reference)))


@shared_task(bind=True, base=Patient, name=RECONCILE_TASKS["Issuer"])
def reconcile_issuer(self: Patient, reference: str) -> None:
    """Register the Issuer's account, and begin the runs again that failed because of this Issuer."""
    self.runtime.issuers.reconcile_path("Issuer", reference, owner=self.request.id)


@shared_task(bind=True, base=Patient, name=RECONCILE_TASKS["ClusterIssuer"])
def reconcile_cluster_issuer(self: Patient, reference: str) -> None:
    """Register the ClusterIssuer's account, and begin the runs again that failed because of it."""
    self.runtime.issuers.reconcile_path("ClusterIssuer", reference, owner=self.request.id)


@shared_task(bind=True, base=Patient, name=RECONCILE_TASKS["Ingress"])
def reconcile_ingress(self: Patient, reference: str, left: Sequence[str] = ()) -> None:
    """Write the Certificates that the Ingress's annotations ask for; remove the HTTP-01 routes in it that no
    challenge uses."""
    self.runtime.shims.reconcile("Ingress", reference, left)
    self.runtime.orphaned_routes.collect(reference)


@shared_task(bind=True, base=Patient, name=RECONCILE_TASKS["VirtualServer"])
def reconcile_virtual_server(self: Patient, reference: str, left: Sequence[str] = ()) -> None:
    """Write the Certificate that the VirtualServer's spec.tls.cert-manager asks for."""
    self.runtime.shims.reconcile("VirtualServer", reference, left)
