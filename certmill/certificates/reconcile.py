"""Reconciles one Certificate: compares the desired state with the stored state and begins a run if they
differ.

A reconciliation can be repeated at any time; it is idempotent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from certmill.certificates import ari_checks, conditions, ownership, secret_contract, statuses, temporary
from certmill.certificates.begin_run import Moment, ObservationOutdated, Reconciled, begin_run
from certmill.certificates.candidates import (
    Candidate,
    candidate_of,
    candidates_for,
    run_first,
    with_fallbacks,
)
from certmill.certificates.digest import digest
from certmill.certificates.observed import observation_of
from certmill.clock import instant
from certmill.errors import CertmillError, InvalidManifest, SecretUnusable
from certmill.home.base import Home, ObservedCertificate
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.names import CertificateId
from certmill.model.object_ref import CERTIFICATE, ObjectRef
from certmill.model.reason import Reason
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, Secret
from certmill.model.status import CertificateStatus
from certmill.model.trigger import AS_STORED, ReconcileOptions
from certmill.observe import certificates, recording
from certmill.renewal import next_check
from certmill.renewal.decision import BackingOff, Decision, Issue, Keep, as_requested, decide
from certmill.renewal.observation import Observation, Violation
from certmill.renewal.policy import violated
from certmill.renewal.risk import risk_of
from certmill.runs.ports import Ports
from certmill.state.journal import LostOrder
from certmill.state.run_state import Adoption

CHECK_AGAIN_SECONDS = 600.0
"""Seconds until the next check of a Certificate whose observation failed. The check is postponed so that it
does not block the Certificates that are due after it."""

_OTHER_OWNER_SECONDS = 180.0


class Reconciler:
    """Decides for one Certificate and begins its run. One instance per process."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @property
    def home(self) -> Home:
        """The home without the read cache: each read returns the current state."""
        return self._ports.home

    @recording.synced("certificates-trigger")
    def reconcile(self, certificate_id: CertificateId, options: ReconcileOptions = AS_STORED) -> Reconciled:
        """Decide for one Certificate, and begin its run if it needs one.

        Raises Temporary if the home or Redis is not available. If the manifest is not valid, this is written
        to the status, and the stored pair does not change."""
        while True:
            state = self._ports.records.run_state(certificate_id)
            moment = Moment(options=options, now=self._ports.clock.now(), state=state)
            with suppress(ObservationOutdated):
                return self._reconciled(certificate_id, moment)

    def _reconciled(self, certificate_id: CertificateId, moment: Moment) -> Reconciled:
        """Make one observation and act on it. Raises ObservationOutdated."""
        ports = self._ports
        try:
            observed = ports.home.observe(certificate_id)
        except InvalidManifest as error:
            ports.due.postpone([certificate_id], at=moment.now + CHECK_AGAIN_SECONDS)
            ref = ObjectRef.from_path(CERTIFICATE, certificate_id)
            ports.home.refuse(ref, reason=Reason.INVALID_SPEC.value, message=str(error))
            return Reconciled(reason=str(error))
        if observed is None or observed.certificate.deleting:
            return self._forget(certificate_id)
        try:
            candidates = run_first(candidates_for(ports.home, observed.certificate), moment.spec)
        except InvalidManifest as error:
            return self._without_issuer(observed, str(error), moment)
        certificate, status = with_fallbacks(observed.certificate, candidates), observed.status
        observed = replace(observed, certificate=certificate)
        secret, unusable = temporary.read(self._ports.home, certificate)
        if (refused := self._refuse_to_write(observed, candidates, secret, moment=moment)) is not None:
            return refused

        if status.order and moment.state.run == "0":
            self._note_lost_order(observed, candidates)
        jitter = ports.limits.renewal_jitter
        observation = observation_of(observed, secret, unusable, candidates, jitter_seconds=jitter)
        decision = as_requested(
            decide(observation, moment.now),
            asked=moment.forced or conditions.is_triggered(status),
            ignore_back_off=moment.options.ignore_back_off or moment.fallback is not None,
        )
        return self._apply(decision, observation, moment, candidates[0])

    def _note_lost_order(self, observed: ObservedCertificate, candidates: Sequence[Candidate]) -> None:
        """Redis has no run: its data was lost with a run, and DNS-01 values of the order may be present."""
        used = candidate_of(candidates, observed.status.order_spec)
        issuer = used.identity if used is not None else None
        lost = LostOrder(certificate=observed.certificate.id, url=observed.status.order, issuer=issuer)
        self._ports.journal.note_lost_order(lost)

    def _refuse_to_write(
        self,
        observed: ObservedCertificate,
        candidates: Sequence[Candidate],
        secret: Secret | None,
        *,
        moment: Moment,
    ) -> Reconciled | None:
        """Returns None if the Certificate's Secret may be written. Otherwise the status gives the reason, and
        the Certificate is checked again later."""
        certificate, before = observed.certificate, observed.status
        issuers = [candidate.issuer for candidate in candidates if candidate.issuer is not None]
        if taken := secret_contract.refusal_to_write(self._ports.home, certificate, issuers, secret):
            message = f"spec.secretName: {taken}"
            violation = Violation(reason=Reason.INVALID_SPEC, message=message)
            return self._check_later(
                certificate,
                before,
                conditions.refused(before, violation, message, now=moment.now),
                message,
                moment,
            )
        contested = ownership.claim(self._ports, certificate)
        if other := ownership.other_owner(self._ports, certificate, secret, is_contested=contested):
            return self._wait_for_owner(other, observed, secret, spec=candidates[0].spec, moment=moment)
        return None

    def other_owner(self, certificate: Certificate) -> str:
        """The name of the other Certificate that now owns this one's Secret, or "". It renews the claim to
        the Secret. The home is read only if another Certificate has named the Secret."""
        if not ownership.claim(self._ports, certificate):
            return ""
        secret = temporary.read(self._ports.home, certificate)[0]
        return ownership.other_owner(self._ports, certificate, secret, is_contested=True)

    def _wait_for_owner(
        self, other: str, observed: ObservedCertificate, secret: Secret | None, *, spec: str, moment: Moment
    ) -> Reconciled:
        """Another Certificate owns the Secret: write this to the status, and check again every few
        minutes."""
        ports, now, certificate = self._ports, moment.now, observed.certificate
        if not self._adopt(certificate, at=now + _OTHER_OWNER_SECONDS, spec=spec, moment=moment):
            return Reconciled(reason="its run notices by itself that another Certificate owns the Secret")
        issued = secret is not None and secret.annotations.get(CERTIFICATE_NAME) == other
        status = conditions.not_owner(observed.status, other, issued=issued, now=now)
        statuses.write(ports, certificate, status, before=observed.status, now=now)
        return Reconciled(reason=f"Secret {certificate.secret_name} belongs to Certificate {other}")

    def _without_issuer(self, observed: ObservedCertificate, why: str, moment: Moment) -> Reconciled:
        """The issuer cannot be read. If the stored pair has no violation, Ready does not change and the
        status gets the pair's times."""
        certificate = observed.certificate
        jitter = self._ports.limits.renewal_jitter
        pair = temporary.read(self._ports.home, certificate)
        observation = observation_of(observed, *pair, (), jitter_seconds=jitter)
        timed, violation = conditions.of_pair(observation), violated(observation, moment.now)
        status = timed if violation is None else conditions.refused(timed, violation, why, now=moment.now)
        return self._check_later(certificate, observation.status, status, why, moment)

    def _check_later(
        self,
        certificate: Certificate,
        before: CertificateStatus,
        status: CertificateStatus,
        why: str,
        moment: Moment,
    ) -> Reconciled:
        """Nothing can be done until a person changes something: write the reason to the status. The next
        check is when the issuer changes, or after CHECK_AGAIN_SECONDS."""
        ports = self._ports
        self._adopt(
            certificate, at=moment.now + CHECK_AGAIN_SECONDS, spec=digest(certificate, None), moment=moment
        )
        statuses.write(ports, certificate, status, before=before, now=moment.now)
        ports.issuer_records.note_failing(certificate.issuer, certificate.id, now=moment.now)
        return Reconciled(reason=why)

    def _adopt(self, certificate: Certificate, *, at: float, spec: str, moment: Moment) -> bool:
        """Schedule the next check of an idle Certificate for `at` (seconds since the epoch). Returns False if
        a run is under way, or if a run has ended and the next run must begin. Raises ObservationOutdated if
        the Certificate was deleted since the observation."""
        adoption = self._ports.records.adopt(
            certificate.id, now=moment.now, at=at, spec=spec, expected=moment.state
        )
        if adoption is Adoption.STALE:
            raise ObservationOutdated
        return adoption is Adoption.ADOPTED

    def _apply(
        self, decision: Decision, observation: Observation, moment: Moment, candidate: Candidate
    ) -> Reconciled:
        match decision:
            case Issue():
                return begin_run(self._ports, decision, observation, moment, candidate)
            case BackingOff():
                return self._back_off(decision, observation, moment)
            case Keep():
                return self._keep(decision, observation, moment)

    def _back_off(self, decision: BackingOff, observation: Observation, moment: Moment) -> Reconciled:
        """The back-off has not ended, so no run begins. Ready becomes False where the violation requires it.
        If the stored pair is valid now but expires before the back-off ends, the next check is at its
        expiry."""
        ports, certificate, violation, now = (
            self._ports,
            observation.certificate,
            decision.violation,
            moment.now,
        )
        status = conditions.backing_off(
            conditions.of_pair(observation), violation, servable=temporary.is_ready(observation), now=now
        )
        at = next_check.after_back_off(decision, observation.leaf, risk_of(status, now), now)
        if self._adopt(certificate, at=at, spec=observation.spec, moment=moment):
            statuses.write(ports, certificate, status, before=observation.status, now=now)
        record = ports.records.read(certificate.id)
        failed = record.done if record is not None and not record.was_issued else 0
        why = f"backing off until {instant(decision.until):%Y-%m-%d %H:%M} UTC, when {decision.reason}"
        return Reconciled(reason=f"{violation.message}; {why}", run=failed)

    def store_temporary(self, certificate: Certificate) -> bool:
        """Store a temporary pair for a challenge whose requests are redirected to HTTPS, if the Secret has no
        pair that a server could use. Returns whether it was stored.

        The annotation of a temporary pair makes this Certificate the owner of the Secret. So nothing is
        stored while another Certificate owns the Secret, or while this Certificate is being deleted."""
        ports, now = self._ports, self.home.certificate(certificate.id)
        if now is None or now.deleting or self.other_owner(certificate):
            return False
        return temporary.store_if_unservable(ports.home, ports.events, certificate, now=ports.clock.now())

    def _keep(self, decision: Keep, observation: Observation, moment: Moment) -> Reconciled:
        """The stored pair is the desired one: schedule its renewal, and write only what differs."""
        ports, certificate, leaf = self._ports, observation.certificate, observation.leaf
        assert leaf is not None
        assert observation.secret is not None
        renew_at = decision.renewal.instant
        known = replace(observation.status, ari=observation.ari)
        status = conditions.adopted(known, leaf, renew_at=renew_at, now=moment.now)
        at = next_check.of_pair(decision.renewal, risk_of(status, moment.now))
        if self._adopt(certificate, at=at, spec=observation.spec, moment=moment):
            self._refresh(certificate, observation.secret)
            ari_checks.schedule(ports, observation, now=moment.now)
        if statuses.write(ports, certificate, status, before=observation.status, now=moment.now):
            certificates.adopted(certificate.id, not_after=leaf.not_after, renew_at=renew_at)
        return Reconciled(reason="Certificate is up to date", right=True)

    def _refresh(self, certificate: Certificate, secret: Secret) -> None:
        """Write the Secret again if only its form differs (template, encoding, output formats) or its owner
        has changed. This needs no new order. The controller sees only Secrets that have certmill's label, and
        reads the owner's name from their annotation."""
        try:
            wanted = secret_contract.secret_of(
                certificate,
                secret.data[TLS_CERTIFICATE],
                secret.data[TLS_PRIVATE_KEY],
                issuer=secret_contract.candidate_in(secret, certificate) or certificate.issuer_ref,
            )
        except SecretUnusable:
            return
        # A run may have ended since the observation: then its pair is newer.
        if temporary.read(self._ports.home, certificate)[0] == secret:
            self._ports.home.write_secret(wanted)

    def _forget(self, certificate_id: CertificateId) -> Reconciled:
        """The Certificate was deleted, or is being deleted. A run under way gets a wake-up, so that it stops
        and cleans up its challenges. The Secret stays."""
        self._ports.records.forget(certificate_id, now=self._ports.clock.now())
        return Reconciled(reason="the Certificate is not in the home, or is being deleted")


def reconcile_all(
    reconciler: Reconciler, certificates: Mapping[CertificateId, bool]
) -> dict[CertificateId, CertmillError]:
    """Reconcile several Certificates (`True`: do not wait for a back-off). Returns the errors by id. One
    error does not stop the others."""
    failed: dict[CertificateId, CertmillError] = {}
    for certificate, ignore_back_off in certificates.items():
        try:
            options = ReconcileOptions(ignore_back_off=ignore_back_off, may_publish=False)
            reconciler.reconcile(certificate, options)
        except CertmillError as error:
            failed[certificate] = error
    return failed
