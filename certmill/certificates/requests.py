"""Handles requests from other services: stores the requested Certificate in the home and begins its run if it
needs one. A rejected request is stored with its reason."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates import ownership
from certmill.certificates.begin_run import Reconciled
from certmill.certificates.reconcile import Reconciler
from certmill.errors import CertmillError, InvalidManifest, NotFound, Temporary
from certmill.home.base import Change
from certmill.model.certificate import Certificate
from certmill.model.manifests.parse import parse_renewal, parse_request
from certmill.model.names import CertificateId
from certmill.model.object_ref import ISSUER_KINDS
from certmill.model.trigger import Origin, ReconcileOptions, Trigger
from certmill.observe import certificates
from certmill.runs.ports import Ports
from certmill.state.requests import Acceptance, Rejection


class RequestHandler:
    """Handles the messages `certificate.request` and `certificate.renew`. One instance per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler

    def request(self, body: object, *, request_id: str) -> tuple[CertificateId, Reconciled] | None:
        """Store the Certificate and begin its run, unless it or its Secret belongs to a manifest. Returns
        None if the request was rejected; the rejection is stored with its reason.

        Raises Temporary if the message must be delivered again."""
        answered = self._answered(request_id)
        if answered is not None:
            return answered
        try:
            certificate = self._with_issuer(parse_request(body))
            if taken := ownership.refusal_of_request(self._ports, certificate):
                raise InvalidManifest(taken, path="spec.secretName")
            change = self._ports.home.request(certificate)
        except Temporary:
            raise
        except CertmillError as error:
            self.reject(request_id, _name_in(body), str(error))
            return None
        # If the same request comes again, the back-off stays in force: a service that restarts again and
        # again must not use up the CA's rate limits.
        origin = Origin(root_id=request_id, trigger=Trigger.REQUEST)
        options = ReconcileOptions(origin=origin, ignore_back_off=change is not Change.UNCHANGED)
        return self._begin(certificate.id, request_id, options)

    def renew(self, body: object, *, request_id: str) -> tuple[CertificateId, Reconciled] | None:
        """Begin a run even if the stored pair is the desired one. Returns None if the request was rejected;
        the rejection is stored with its reason.

        Raises Temporary if the message must be delivered again."""
        answered = self._answered(request_id)
        if answered is not None:
            return answered
        try:
            certificate_id = parse_renewal(body)
            if self._ports.home.certificate(certificate_id) is None:
                raise NotFound(f"Certificate {certificate_id} is not there")
        except Temporary:
            raise
        except CertmillError as error:
            self.reject(request_id, _name_in(body), str(error))
            return None
        origin = Origin(root_id=request_id, trigger=Trigger.MANUAL)
        options = ReconcileOptions(origin=origin, force=True, ignore_back_off=True)
        return self._begin(certificate_id, request_id, options)

    def reject(self, request_id: str, certificate: str, reason: str) -> None:
        """Store a rejected request with its reason, in a bounded list."""
        certificates.request_refused(request_id, certificate, reason=reason)
        rejection = Rejection(
            at=self._ports.clock.now(), request_id=request_id, certificate=certificate, reason=reason
        )
        self._ports.requests.reject(rejection)

    def _answered(self, request_id: str) -> tuple[CertificateId, Reconciled] | None:
        """The stored answer to this request id, if there is one. A message that is delivered twice is one
        request: the second delivery must not undo later changes or issue again."""
        found = self._ports.requests.find(request_id)
        return (
            (found.certificate, Reconciled(reason="this request was taken before", run=found.run))
            if isinstance(found, Acceptance)
            else None
        )

    def _begin(
        self, certificate_id: CertificateId, request_id: str, options: ReconcileOptions
    ) -> tuple[CertificateId, Reconciled] | None:
        done = self._reconciler.reconcile(certificate_id, options)
        if not done.right and not done.run:
            self.reject(request_id, certificate_id, done.reason)
            return None
        self._ports.requests.accept(request_id, Acceptance(certificate=certificate_id, run=done.run))
        certificates.request_accepted(request_id, certificate_id, run=done.run, reason=done.reason)
        return certificate_id, done

    def _with_issuer(self, certificate: Certificate) -> Certificate:
        """The Certificate with the kind of its issuer set. Without a kind, it is the namespace's Issuer of
        that name, otherwise the ClusterIssuer. Raises InvalidManifest if neither exists."""
        ref = certificate.issuer_ref
        kinds = (ref.kind,) if ref.kind else ISSUER_KINDS
        for kind in kinds:
            candidate = replace(certificate, issuer_ref=replace(ref, kind=kind))
            if self._ports.home.issuer(candidate.issuer) is not None:
                return candidate
        raise InvalidManifest(
            f"there is no {' or '.join(kinds)} {ref.name!r}; apply it first", path="spec.issuerRef"
        )


def _name_in(body: object) -> str:
    """`namespace/name` from a request body, as far as it can be read; only characters that are safe in logs
    and messages."""
    if not isinstance(body, dict):
        return "?"
    parts = [str(body.get("namespace") or "default"), str(body.get("name") or "?")]
    return "/".join("".join(c for c in part if c.isalnum() or c in "-.?")[:253] for part in parts)
