"""The tasks that other services can send: `certificate.request` and `certificate.renew`
(certmill.contract)."""

from __future__ import annotations

from celery import shared_task

from certmill.certificates.begin_run import Reconciled
from certmill.contract import RENEW_TASK, REQUEST_TASK
from certmill.errors import InvalidManifest
from certmill.model.names import CertificateId
from tasks.base import Patient


class ProducerTask(Patient):
    """A task of a producer. Its message is the only copy of the request."""

    abstract = True

    def answer(self, accepted: tuple[CertificateId, Reconciled] | None) -> None:
        """Publish the run of an accepted request. Raises InvalidManifest for a refused one (None)."""
        if accepted is None:
            raise InvalidManifest("refused; `certmill get requests` shows the reason")
        self.publish_begun(*accepted)


@shared_task(bind=True, base=ProducerTask, name=REQUEST_TASK)
def request(self: ProducerTask, body: object) -> None:
    """Store the Certificate of a request, and begin its run."""
    self.answer(self.runtime.requests.request(body, request_id=self.request.id))


@shared_task(bind=True, base=ProducerTask, name=RENEW_TASK)
def renew(self: ProducerTask, body: object) -> None:
    """Begin a run even if the stored pair is already correct."""
    self.answer(self.runtime.requests.renew(body, request_id=self.request.id))
