"""The eight steps of a run as tasks, in their order (`certmill.contract.STEP_NAMES`). What each does is in
`certmill.steps`."""

from __future__ import annotations

from celery import shared_task

from certmill.model.names import CertificateId
from tasks.base import Step


@shared_task(bind=True, base=Step, name="certificate.register_account")
def register_account(self: Step, certificate: str) -> None:
    """Register the account of the certificate's issuer at the CA, if it is not registered."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.create_order")
def create_order(self: Step, certificate: str) -> None:
    """Create the order at the CA."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.set_up_challenge")
def set_up_challenge(self: Step, certificate: str) -> None:
    """Publish the TXT records (DNS-01) or the key authorizations and routes (HTTP-01) of the challenges."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.wait_for_propagation")
def wait_for_propagation(self: Step, certificate: str) -> None:
    """Check that every authoritative name server, or the HTTP-01 route, shows the challenges."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.validate")
def validate(self: Step, certificate: str) -> None:
    """Ask the CA to validate the challenges, and wait for its answer."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.finalize")
def finalize(self: Step, certificate: str) -> None:
    """Send the CSR, and fetch the issued chain."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.store_secret")
def store_secret(self: Step, certificate: str) -> None:
    """Write the pair to the Secret."""
    self.run_step(CertificateId(certificate))


@shared_task(bind=True, base=Step, name="certificate.clean_up")
def clean_up(self: Step, certificate: str) -> None:
    """Remove what was published for the challenges."""
    self.run_step(CertificateId(certificate))
