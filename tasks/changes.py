"""Looks at objects of the cluster that have changed, as the controller tells them: `reconcile.<kind>`
(certmill.contract)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from certmill.contract import RECONCILE_TASKS
from certmill.errors import Conflict, Temporary
from certmill.model.names import CertificateId
from certmill.runtime import Runtime
from tasks.declare import declare
from tasks.steps import publish_run

_CONFLICTS = 2


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define a task for every kind."""

    def certificate(task: Any, reference: str) -> None:
        """Begin its run, if the stored pair is not what is wanted."""
        found = runtime().reconciler.reconcile(CertificateId(reference))
        if found.publish_run:
            publish_run(app, runtime(), CertificateId(reference))

    def issuer(task: Any, reference: str) -> None:
        """Register its account, and begin again what failed under it."""
        runtime().issuers.look("Issuer", reference, owner=task.request.id)

    def cluster_issuer(task: Any, reference: str) -> None:
        """As for an Issuer."""
        runtime().issuers.look("ClusterIssuer", reference, owner=task.request.id)

    def ingress(task: Any, reference: str, left: Sequence[str] = ()) -> None:
        """Keep the Certificates that its annotations ask for; close the ways through it that are open for
        nobody."""
        runtime().shims.reconcile("Ingress", reference, left)
        runtime().ways.clear(reference)

    def virtual_server(task: Any, reference: str, left: Sequence[str] = ()) -> None:
        """Keep the Certificate that its spec.tls.cert-manager asks for."""
        runtime().shims.reconcile("VirtualServer", reference, left)

    looks = {
        "Certificate": certificate,
        "Issuer": issuer,
        "ClusterIssuer": cluster_issuer,
        "Ingress": ingress,
        "VirtualServer": virtual_server,
    }
    for kind, look in looks.items():
        declare(app, name=RECONCILE_TASKS[kind], run=_patiently(look))


def _over_conflicts(look: Callable[..., None], *arguments: Any) -> None:
    """Look again at once where somebody else wrote in the same moment: that is ordinary, and nothing to tell
    of."""
    for _ in range(_CONFLICTS):
        with suppress(Conflict):
            look(*arguments)
            return
    look(*arguments)


def _patiently(look: Callable[..., None]) -> Callable[..., None]:
    """While the API server or Redis is away, a look goes back to its queue, from which this worker takes
    nothing for a while (workers.broker.transport)."""

    def run(task: Any, *arguments: Any) -> None:
        try:
            _over_conflicts(look, task, *arguments)
        except Temporary as error:
            raise Reject(str(error), requeue=True) from None

    return run
