"""Step 7: download the chain (RFC 8555 §7.4.2), check that it is for our key and names, and store the pair in
the home. A chain that fails the check is not stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.certificates import candidates, conditions, secret_contract, statuses
from certmill.crypto import chain
from certmill.errors import CAUnavailable, CertmillError, SealKeyMissing
from certmill.issuers import account
from certmill.model.status import CertificateStatus
from certmill.observe import certificates
from certmill.observe.log import get_logger
from certmill.renewal import ari, next_check
from certmill.renewal.plan import plan
from certmill.renewal.risk import risk_of
from certmill.runs.facts import Stored
from certmill.runs.outcomes import Advanced, Outcome, Waiting
from certmill.runs.step_context import StepContext

_ALTERNATE_TRIES = 3
"""The number of tries to download an alternate chain. After that the certificate is stored without it."""

_OTHER_WORKER_SECONDS = 900.0
"""While CERTMILL_SEAL_KEYS is rotated, some workers do not have the newest key. A rollout does not take
longer than this."""

_POLL_SECONDS = 5.0

log = get_logger(__name__)


def store_secret(context: StepContext) -> Outcome:
    """Write the Secret and the status. A repeated call writes the same values."""
    acme = account.client(context.ports, context.issuer)
    issued = acme.certificate(context.facts.certificate)
    alternates = _downloaded(context, acme, issued.alternates)
    pem = chain.choose(issued.pem, alternates, context.issuer.preferred_chain).encode()
    try:
        key_pem = context.ports.seal.open(context.record.sealed_key, context=context.certificate_id)
    except SealKeyMissing as error:
        if context.elapsed() >= _OTHER_WORKER_SECONDS:
            raise
        return Waiting(reason=f"{error} Another worker may have it", seconds=_POLL_SECONDS)
    now = context.ports.clock.now()
    chain.check(pem, key_pem, context.certificate, now=now)
    context.confirm_lease()  # without the lease, this would write an older pair over a newer one
    issuer = candidates.ref_of(context.certificate, context.issuer.ref)
    secret = secret_contract.secret_of(context.certificate, pem, key_pem, issuer=issuer)
    context.ports.home.write_secret(secret)
    leaf = chain.leaf(pem)
    certificates.delivered(
        context.certificate_id, secret_name=context.certificate.secret_name, serial=leaf.serial
    )
    return _show_issued(context, leaf, now)


def _show_issued(context: StepContext, leaf: chain.Leaf, now: float) -> Advanced:
    """Write the status and the event of the stored pair, and plan its renewal."""
    renewal = plan(context.certificate, leaf, jitter_seconds=context.ports.limits.renewal_jitter)

    def with_pair(status: CertificateStatus) -> CertificateStatus:
        return conditions.issued(status, leaf, renew_at=renewal.instant, now=now)

    if context.issuer.uses_ari and leaf.cert_id:
        context.ports.ari_checks.schedule(context.certificate_id, at=ari.first_check(leaf, now))
    before = statuses.update(context.ports.home, context.certificate_id, with_pair)
    after = with_pair(before)
    statuses.note(context.ports, context.certificate, after)
    statuses.report_risk(context.ports, context.certificate, before, after)
    context.ports.events.record_event(
        context.certificate, "Issuing", "The certificate has been successfully issued"
    )
    stored = Stored(
        serial=leaf.serial,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renew_at=next_check.of_pair(renewal, risk_of(after, now)),
        recovered=before.failed_issuance_attempts > 0,
    )
    return Advanced(facts=replace(context.facts, stored=stored), renews=before.revision > 0)


def _downloaded(context: StepContext, acme: AcmeClient, alternates: Sequence[str]) -> Iterator[str]:
    """The CA's alternate chains (PEM), each downloaded when the caller needs it. A chain that cannot be
    downloaded is left out. Raises CAUnavailable in the first tries."""
    for url in alternates:
        context.renew_lease()
        try:
            pem = acme.certificate(url).pem
        except CertmillError as error:
            if isinstance(error, CAUnavailable) and context.record.tries + 1 < _ALTERNATE_TRIES:
                raise
            log.warning("chain.alternate.left-out", certificate=context.certificate_id, reason=str(error))
            continue
        yield pem
