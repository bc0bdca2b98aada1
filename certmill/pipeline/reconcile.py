"""From what is wanted and what is stored to a run, or none: applied to one certificate at a time, as often as anybody likes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from certmill.clock import instant
from certmill.errors import CertmillError, Conflict, InvalidManifest, SecretUnusable
from certmill.home.base import Home
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer, reference
from certmill.model.names import CertificateId, split_id
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, Secret
from certmill.model.status import INVALID_SPEC, MANUALLY_TRIGGERED, CertificateStatus
from certmill.model.trigger import UNSAID, Origin
from certmill.observe import certificates, recording
from certmill.pipeline import conditions, flow, owner, secret_contract, statuses, temporary
from certmill.pipeline.context import Ports
from certmill.pipeline.decide import Decision, Hold, Issue, Keep, Seen, Violation, decide, look, violated
from certmill.pipeline.origin import origin_of
from certmill.pipeline.spec import digest
from certmill.state.records import Verdict

LOOK_AGAIN_SECONDS = 600.0
"""A certificate that could not be looked at does not stand in the way of those that are due after it."""

_OTHER_OWNER_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was found and done.

    `right`: the stored pair is what is wanted. Else `run` is the number of the run that makes it right, or of the one that failed and
    whose back-off holds; 0: nothing can be done, for `reason`. `ring`: the run's chain is to be published now.
    """

    reason: str
    right: bool = False
    run: int = 0
    ring: bool = False


class Reconciler:
    """Decides for one certificate, and begins its run. One per process."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @property
    def home(self) -> Home:
        """The home itself, of whose reads none is old."""
        return self._ports.home

    @recording.synced("certificates-trigger")
    def reconcile(
        self,
        certificate_id: CertificateId,
        *,
        force: bool = False,
        now_please: bool = False,
        origin: Origin = UNSAID,
        may_ring: bool = True,
    ) -> Reconciled:
        """Look at one certificate. `force`: issue even if the pair is right; `now_please`: do not wait for a back-off to end.

        Raises Temporary when the home or Redis is away; a manifest that is wrong is left as it is, with its stored pair.
        """
        ports, now = self._ports, self._ports.clock.now()
        again, as_of = ports.records.outlook(certificate_id)
        try:
            certificate = ports.home.certificate(certificate_id)
        except InvalidManifest as error:
            ports.due.postpone([certificate_id], at=now + LOOK_AGAIN_SECONDS)
            ports.home.refuse("Certificate", *split_id(certificate_id), reason=INVALID_SPEC, message=str(error))
            return Reconciled(reason=str(error))
        if certificate is None or certificate.deleting:
            return self._forget(certificate_id)
        try:
            issuer = ports.home.issuer(certificate.issuer_ref, certificate.namespace)
        except InvalidManifest as error:
            return self._look_later(certificate, self._violated(certificate), str(error))
        secret, unusable = self._secret(certificate)
        spec = digest(certificate, issuer)
        if (barred := self._barred(certificate, issuer, secret, spec=spec)) is not None:
            return barred
        status, jitter = ports.home.certificate_status(certificate_id), ports.limits.renewal_jitter
        if status.order and as_of == "0":  # Redis knows of no run: one was lost with its memory, and its values may be up
            ports.journal.note_lost_order(certificate_id, status.order)
        seen = look(certificate, secret, status, spec, unusable=unusable, jitter_seconds=jitter)
        as_of = "" if force else as_of
        force = force or again == "force"
        decision = _decided(seen, now=now, force=force, now_please=now_please)
        done = self._apply(decision, seen, now=now, origin=origin, may_ring=may_ring, force=force, as_of=as_of)
        # None: a run has ended since, and what was missing when we looked may have been stored.
        return done or self.reconcile(certificate_id, now_please=now_please, origin=origin, may_ring=may_ring)

    def _barred(self, certificate: Certificate, issuer: Issuer | None, secret: Secret | None, *, spec: str) -> Reconciled | None:
        """None if its Secret may be written; else the Certificate says why not, and is looked at again later."""
        if taken := secret_contract.why_not_to_write(self._ports.home, certificate, issuer, secret):
            message = f"spec.secretName: {taken}"
            return self._look_later(certificate, Violation(reason=INVALID_SPEC, message=message), message)
        if other := owner.other_owner(self._ports, certificate, secret):
            return self._wait_for(other, certificate, secret, spec=spec)
        return None

    def other_owner(self, certificate: Certificate) -> str:
        """The other Certificate that owns this one's Secret now; asks the home only if another has named it."""
        if not owner.is_contested(self._ports, certificate):
            return ""
        return owner.other_owner(self._ports, certificate, self._secret(certificate)[0])

    def _wait_for(self, other: str, certificate: Certificate, secret: Secret | None, *, spec: str) -> Reconciled:
        """Another Certificate owns the Secret: say so, and look again now and then."""
        ports, now = self._ports, self._ports.clock.now()
        if not ports.records.adopt(certificate.id, now=now, at=now + _OTHER_OWNER_SECONDS, spec=spec):
            return Reconciled(reason="its run notices by itself that another Certificate owns the Secret")
        issued = secret is not None and secret.annotations.get(CERTIFICATE_NAME) == other
        status = ports.home.certificate_status(certificate.id)
        statuses.write(ports, certificate, conditions.not_owner(status, other, issued=issued, now=now))
        return Reconciled(reason=f"Secret {certificate.secret_name} belongs to Certificate {other}")

    def _violated(self, certificate: Certificate) -> Violation | None:
        """What is wrong with the stored pair, if anything."""
        secret, unusable = self._secret(certificate)
        seen = look(certificate, secret, CertificateStatus(), "", unusable=unusable)
        return violated(seen, self._ports.clock.now())

    def _look_later(self, certificate: Certificate, violation: Violation | None, reason: str) -> Reconciled:
        """Nothing can be done until a person changes something: say so, unless the stored pair is good for now; look again when the
        issuer changes, and now and then."""
        ports, now = self._ports, self._ports.clock.now()
        if violation is not None:
            status = ports.home.certificate_status(certificate.id)
            statuses.write(ports, certificate, conditions.refused(status, violation, reason, now=now))
        ports.records.adopt(certificate.id, now=now, at=now + LOOK_AGAIN_SECONDS, spec=digest(certificate, None))
        ref = certificate.issuer_ref
        ports.issuer_records.note_failing(reference(ref.kind, certificate.namespace, ref.name), certificate.id, now=now)
        return Reconciled(reason=reason)

    def _apply(
        self, decision: Decision, seen: Seen, *, now: float, origin: Origin, may_ring: bool, force: bool, as_of: str
    ) -> Reconciled | None:
        """None: what was decided is of before the end of a run."""
        match decision:
            case Issue():
                return self._begin(decision, seen, now=now, origin=origin, may_ring=may_ring, force=force, as_of=as_of)
            case Hold():
                return self._hold(decision, seen, now=now)
            case Keep():
                return self._keep(decision, seen, now=now)

    def _hold(self, decision: Hold, seen: Seen, *, now: float) -> Reconciled:
        """Nothing is issued yet. What is not Ready meanwhile says so; a pair that goes on to be good is looked at when it expires."""
        ports, certificate, violation = self._ports, seen.certificate, decision.violation
        expires = seen.leaf.not_after if seen.leaf is not None else 0.0
        at = expires if now < expires < decision.until else decision.until
        if ports.records.adopt(certificate.id, now=now, at=at, spec=seen.spec):
            status = conditions.held(conditions.of_pair(seen), violation, servable=temporary.is_ready(seen), now=now)
            if status != seen.status:
                ports.home.write_certificate_status(certificate.id, status)
            statuses.note(ports, certificate, status)
        record = ports.records.read(certificate.id)
        failed = record.done if record is not None and record.result != "issued" else 0
        why = f"held until {instant(decision.until):%Y-%m-%d %H:%M} UTC, when {decision.reason}"
        return Reconciled(reason=f"{violation.message}; {why}", run=failed)

    def _begin(
        self, decision: Issue, seen: Seen, *, now: float, origin: Origin, may_ring: bool, force: bool, as_of: str
    ) -> Reconciled | None:
        """Begin a run: rung at once while the queue is short, else among the arrivals.

        A temporary pair comes first: whoever dies after the beginning writes it no more. What was not told of a run that goes on, because
        the home was away in that moment, is told now.
        """
        ports, certificate = self._ports, seen.certificate
        stored = temporary.is_asked_for(certificate) and temporary.store(ports.home, ports.events, seen, now=now)
        ring = may_ring and ports.due.queue_length() < ports.limits.high_water
        origin = origin_of(origin, decision.violation, forced=force)
        verdict, run = ports.records.begin(
            certificate.id,
            now=now,
            steps=(flow.FIRST, *flow.SENT),
            spec=seen.spec,
            origin=origin,
            in_flight_until=now + ports.limits.grace if ring else None,
            force=force,
            as_of=as_of,
        )
        if verdict is Verdict.STALE:
            return None
        if verdict is Verdict.BEGUN:
            _log_begun(certificate, decision.violation, run=run, origin=origin)
        untold = verdict is Verdict.JOINED and ports.home.watched and not conditions.is_issuing(seen.status)
        if verdict is Verdict.BEGUN or untold:
            servable = stored or temporary.is_ready(seen)
            self._tell_begun(seen, decision.violation, servable=servable, ours=verdict is Verdict.BEGUN, now=now)
        elif verdict is Verdict.JOINED and (status := conditions.expired(seen.status, now=now)) != seen.status:
            with suppress(Conflict):  # the run has just told more
                statuses.write(ports, certificate, status)
        # Rung again with what was untold: whoever began the run may have failed at telling, and have rung nobody.
        return Reconciled(reason=decision.violation.message, run=run, ring=ring and (verdict is Verdict.BEGUN or untold))

    def _tell_begun(self, seen: Seen, violation: Violation, *, servable: bool, ours: bool, now: float) -> None:
        """Show in status and events that a run is under way. Of two looks at once the one that began it (`ours`) knows why; the other has
        nothing to say then."""
        home, certificate, status = self._ports.home, seen.certificate, conditions.of_pair(seen)
        ready = servable or violation.reason in ("Renewing", MANUALLY_TRIGGERED)
        try:
            statuses.write(self._ports, certificate, conditions.issuing(status, violation, ready=ready, now=now))
        except Conflict:
            status = conditions.of_pair(replace(seen, status=home.certificate_status(certificate.id)))
            if conditions.is_issuing(status) and not ours:
                return
            statuses.write(self._ports, certificate, conditions.issuing(status, violation, ready=ready, now=now))
        self._ports.events.tell(certificate, "Issuing", violation.message)

    def store_temporary(self, certificate: Certificate) -> bool:
        """For a challenge whose requests are redirected to HTTPS: store a temporary pair if there is none that a server could use.

        Its annotation would make the Secret this Certificate's: so not while another owns it, nor when this one is being deleted.
        """
        ports, now = self._ports, self.home.certificate(certificate.id)
        if now is None or now.deleting or self.other_owner(certificate):
            return False
        return temporary.store_if_unservable(ports.home, ports.events, certificate, now=ports.clock.now())

    def _keep(self, decision: Keep, seen: Seen, *, now: float) -> Reconciled:
        """The stored pair is right: remember when to renew it; write only what differs."""
        ports, certificate, leaf = self._ports, seen.certificate, seen.leaf
        assert leaf is not None
        assert seen.secret is not None
        if ports.records.adopt(certificate.id, now=now, at=decision.renew_at, spec=seen.spec):
            self._refresh(certificate, seen.secret)
        status = conditions.adopted(seen.status, leaf, renew_at=decision.renew_at, now=now)
        if status != seen.status:
            ports.home.write_certificate_status(certificate.id, status)
        if statuses.note(ports, certificate, status):
            certificates.adopted(certificate.id, not_after=leaf.not_after, renew_at=decision.renew_at)
        return Reconciled(reason="Certificate is up to date", right=True)

    def _secret(self, certificate: Certificate) -> tuple[Secret | None, str]:
        return temporary.read(self._ports.home, certificate)

    def _refresh(self, certificate: Certificate, secret: Secret) -> None:
        """What the manifest says of the Secret's form (template, encoding, output formats) needs no new order, nor does whose it is now:
        the controller sees only Secrets that carry our label, and goes by the name on them."""
        try:
            wanted = secret_contract.secret_of(certificate, secret.data[TLS_CERTIFICATE], secret.data[TLS_PRIVATE_KEY])
        except SecretUnusable:
            return
        # A run may have come to its end since we looked: its pair is newer than the one we would write.
        if self._secret(certificate)[0] == secret:
            self._ports.home.write_secret(wanted)

    def _forget(self, certificate_id: CertificateId) -> Reconciled:
        """The Certificate was deleted, or is being deleted. A run under way is woken to notice, and cleans up; its Secret stays."""
        if not self._ports.records.notice(certificate_id, why="deleted", now=self._ports.clock.now()):
            self._ports.records.forget(certificate_id)
        self._ports.gauges.forget(certificate_id)
        return Reconciled(reason="the Certificate is not in the home, or is being deleted")


def _log_begun(certificate: Certificate, violation: Violation, *, run: int, origin: Origin) -> None:
    certificates.run_begun(
        certificate.id,
        run=run,
        trigger=origin.trigger.value,
        reason=violation.reason,
        message=violation.message,
        issuer=certificate.issuer_ref.name,
    )


def _decided(seen: Seen, *, now: float, force: bool, now_please: bool) -> Decision:
    """The decision, with what people ask for over it."""
    decision, asked = decide(seen, now), force or conditions.is_triggered(seen.status)
    if isinstance(decision, Hold) and (asked or now_please):
        return Issue(violation=decision.violation)
    if isinstance(decision, Keep) and asked:
        return Issue(violation=Violation(reason=MANUALLY_TRIGGERED, message="Certificate re-issuance manually triggered"))
    return decision


def reconcile_all(reconciler: Reconciler, certificates: Mapping[CertificateId, bool]) -> dict[CertificateId, CertmillError]:
    """Reconcile several (`True`: without waiting for a back-off); what failed, by id. One that fails does not stop the others."""
    failed: dict[CertificateId, CertmillError] = {}
    for certificate, now_please in certificates.items():
        try:
            reconciler.reconcile(certificate, now_please=now_please, may_ring=False)
        except CertmillError as error:
            failed[certificate] = error
    return failed
