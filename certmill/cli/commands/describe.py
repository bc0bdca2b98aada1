"""`certmill describe`: prints one object. For a Certificate it prints what happened, what is next and when,
and why. It never prints a token, a key or a value of a Secret."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.cli.columns import condition_lines, fields, table
from certmill.cli.commands.describe_issuer import issuer_lines
from certmill.cli.commands.describe_secret import issued_by, secret_lines
from certmill.cli.exit_codes import ExitCode, print_message, shown
from certmill.cli.kinds import Kind, missing, plural
from certmill.cli.session import Session
from certmill.errors import NotFound, SecretUnusable
from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.certificate import Certificate, KeyAlgorithm
from certmill.model.history import PastRun
from certmill.model.names import certificate_id
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, as_of
from certmill.renewal.risk import risk_of, with_risk
from certmill.runs.facts import ChallengeFacts
from certmill.state.record import Record
from certmill.views.ari import ari_line
from certmill.views.causes import blocked_by, known_facts
from certmill.views.lifetimes import ignored_duration
from certmill.views.next_step import Known, next_line, step_number
from certmill.views.revocations import revocation_text
from certmill.views.shared_sets import too_many_copies
from certmill.views.times import away, duration, moment


def describe(session: Session, kind: Kind, name: str, *, namespace: str) -> ExitCode:
    """Print the object. Raises NotFound."""
    where = "" if kind is Kind.CLUSTER_ISSUER else namespace
    match kind:
        case Kind.CERTIFICATE:
            lines = _certificate(session, where, name)
        case Kind.SECRET:
            lines = secret_lines(session, where, name)
        case _:
            lines = issuer_lines(session, kind, where, name)
    print("\n".join(lines))
    return ExitCode.OK


def known(session: Session, namespace: str, name: str) -> Known:
    """What the home and Redis contain about a Certificate. Raises NotFound."""
    certificate = session.home.certificate(certificate_id(namespace, name))
    if certificate is None:
        raise NotFound(missing(Kind.CERTIFICATE, namespace, name))
    return session.observations.known(certificate, _readable_secret(session, certificate))


def _readable_secret(session: Session, certificate: Certificate) -> Secret | None:
    """The Secret of the Certificate. If it cannot be read, prints a warning on stderr and returns None."""
    try:
        return session.home.secret(certificate.namespace, certificate.secret_name)
    except SecretUnusable as error:
        print_message(str(error), prefix="warning")
        return None


def _certificate(session: Session, namespace: str, name: str) -> list[str]:
    found, now = known(session, namespace, name), session.now()
    seen, status = found.observed, with_risk(as_of(found.observed.status, now), now)
    certificate, ref, cause = seen.certificate, seen.issuer_ref, blocked_by(seen, now)
    issuer = f"{ref.kind or Kind.ISSUER} {ref.name}"
    lines = fields(
        [
            ("Name", name),
            ("Namespace", namespace),
            ("Names", ", ".join((*certificate.dns_names, *certificate.ip_addresses))),
            ("Common name", certificate.common_name),
            (
                "Issuer",
                issuer
                if found.issuer is not None
                else f"{issuer} (not there, or wrong: see certmill get {plural(ref.kind or Kind.ISSUER)})",
            ),
            (
                "Secret",
                _where(session, certificate)
                if found.secret
                else f"{certificate.secret_name} (not there yet)",
            ),
            ("Key", _key(certificate)),
            ("Issued by", issued_by(found.secret)),
            ("Warning", ignored_duration(certificate, found.issuer)),
            ("Warning", too_many_copies(certificate, found.issuer, status, session.certificates(namespace))),
            *(("Warning", fault) for fault in _fallback_faults(session, found)),
            ("Ready", _ready(status, now)),
            ("Risk", str(risk_of(status, now))),
            ("Cause", str(cause or "")),
            *_validity(status, now),
        ]
    )
    lines += condition_lines(status.conditions, now)
    if seen.record is not None and seen.record.step:
        lines += _run(seen.record, now)
    lines += _past(status.history, now)
    idle = "; nothing is done while Redis does not answer" if cause and session.is_redis_away else ""
    return [*lines, f"Next: {shown(next_line(found, now))}{idle}"]


def _fallback_faults(session: Session, found: Known) -> Sequence[str]:
    certificate, issuer = found.observed.certificate, found.issuer
    annotations = {*certificate.annotations, *(issuer.annotations if issuer is not None else ())}
    if not certificate.fallback_issuers and FALLBACK_ISSUERS not in annotations:
        return ()
    from certmill.steps.preflight import fallback_faults  # the import takes long, and few need it

    return fallback_faults(session.home, certificate)


def _ready(status: CertificateStatus, now: float) -> str:
    ready = status.condition("Ready")
    return f"{ready.status} since {_both(ready.last_transition, now)}" if ready is not None else ""


def _where(session: Session, certificate: Certificate) -> str:
    directory = session.secret_directory(certificate.namespace, certificate.secret_name)
    return f"{certificate.secret_name} ({directory})" if directory is not None else certificate.secret_name


def _key(certificate: Certificate) -> str:
    key = certificate.private_key
    kind = (
        "Ed25519, PKCS8"
        if key.algorithm is KeyAlgorithm.ED25519
        else f"{key.algorithm} {key.size}, {key.encoding}"
    )
    return f"{kind}, rotationPolicy {key.rotation_policy}"


def _validity(status: CertificateStatus, now: float) -> list[tuple[str, str]]:
    failures = ""
    if status.failed_issuance_attempts and status.last_failure_time is not None:
        failures = (
            f"{status.failed_issuance_attempts} in a row, the last {away(status.last_failure_time, now)}"
        )
    return [
        ("Not before", moment(status.not_before)),
        ("Not after", _both(status.not_after, now)),
        ("Renewal", _both(status.renewal_time, now)),
        ("ARI", ari_line(status.ari, now)),
        ("Revoked", revocation_text(status.revoked, now)),
        ("Revision", str(status.revision or "")),
        ("Failures", failures),
    ]


def _both(at: float | None, now: float) -> str:
    return "" if at is None else f"{moment(at)} ({away(at, now)})"


def _past(history: Sequence[PastRun], now: float) -> list[str]:
    """The results of the last runs, newest first."""
    rows = [
        (
            _both(run.at, now),
            "issued" if run.issued else f"failed ({run.times} times)" if run.times > 1 else "failed",
            run.message,
        )
        for run in reversed(history)
    ]
    return (
        ["History:", *(f"  {line}" for line in table(("ENDED", "RESULT", "MESSAGE"), rows))] if rows else []
    )


def _run(record: Record, now: float) -> list[str]:
    """The run that is under way."""
    waiting = record.reason and record.due > now
    rows = [
        ("Run", str(record.run)),
        ("Step", f"{record.step} ({step_number(record.step)}), since {duration(now - record.since)}"),
        ("Begun", f"{moment(record.begun)} ({away(record.begun, now)})"),
        ("Waits", f"{record.reason}{_tried(record.tries)}" if record.reason else ""),
        ("Again", _both(record.due, now) if waiting else ""),
        ("Follows", "another run, requested during this one" if record.again else ""),
    ]
    facts = known_facts(record)
    return ["In flight:", *fields(rows, indent="  "), *_challenges(facts.challenges)]


def _tried(tries: int) -> str:
    """How often the step has ended with a wait. A wait because something is in use (Busy) does not count."""
    return "" if not tries else " (tried once)" if tries == 1 else f" (tried {tries} times)"


def _challenges(challenges: Sequence[ChallengeFacts]) -> list[str]:
    if not challenges:
        return []
    rows = [
        (
            challenge.name,
            challenge.type,
            challenge.record_name or f"http://{challenge.identifier}/.well-known/acme-challenge/",
        )
        for challenge in challenges
    ]
    return ["Challenges:", *(f"  {line}" for line in table(("NAME", "TYPE", "RECORD"), rows))]
