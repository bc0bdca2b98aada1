"""`certmill revoke`: revokes the stored certificate at its CA. After keyCompromise it requests a new
certificate with a new key."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.cli.confirm import confirm
from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.kinds import Kind, missing, resource
from certmill.cli.session import Session
from certmill.crypto.chain import Leaf
from certmill.errors import NotFound, StateUnavailable
from certmill.issuers import revocation
from certmill.issuers.revocation import Revoked
from certmill.model.certificate import Certificate
from certmill.model.names import certificate_id
from certmill.model.revocation import RevocationReason, SigningKey
from certmill.runs.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The options. `yes`: do not ask for confirmation."""

    reason: RevocationReason
    key: SigningKey
    yes: bool


def revoke(session: Session, name: str, *, namespace: str, how: How) -> ExitCode:
    """Revoke the certificate in the Secret of this Certificate.

    Raises NotFound, InvalidManifest (there is no terminal, and --yes is not given), and the errors of
    issuers.revocation.revoke."""
    is_compromised = how.reason is RevocationReason.KEY_COMPROMISE
    if is_compromised:
        _ = session.client  # raises OtherInstallation before anything is revoked
    with session.ports() as ports:
        certificate = ports.home.certificate(certificate_id(namespace, name))
        if certificate is None:
            raise NotFound(missing(Kind.CERTIFICATE, namespace, name))
        leaf = revocation.stored_leaf(ports, certificate)
        if not how.yes and not confirm(_question(certificate, leaf, how.reason)):
            print("nothing was revoked")
            return ExitCode.FAILED
        return _revoked(session, ports, certificate, how)


def _revoked(session: Session, ports: Ports, certificate: Certificate, how: How) -> ExitCode:
    done = revocation.revoke(ports, certificate, reason=how.reason, signed_by=how.key)
    print(_summary(certificate, done))
    if not done.revocation.is_key_compromised:
        print(
            f"Secret {certificate.namespace}/{certificate.secret_name} still has the revoked certificate; "
            f"for a new one: certmill renew {certificate.name} -n {certificate.namespace}"
        )
        return ExitCode.OK
    return _issue_again(session, certificate)


def _issue_again(session: Session, certificate: Certificate) -> ExitCode:
    """Request a certificate with a new key. The status says that the key is compromised, so the next
    reconciliation requests one too if this message is lost."""
    follow = f"certmill describe certificate {certificate.name} -n {certificate.namespace}"
    try:
        session.client.renew(certificate.name, namespace=certificate.namespace)
    except StateUnavailable as error:
        print_message(
            f"{error}; the certificate is revoked, but no new one is requested yet: when Redis answers, run "
            f"certmill renew {certificate.name} -n {certificate.namespace}"
        )
        return ExitCode.UNREACHABLE
    print(f"a new certificate with a new key is requested; follow it with: {follow}")
    return ExitCode.OK


def _summary(certificate: Certificate, done: Revoked) -> str:
    found = done.revocation
    state = "revoked" if done.is_new else "was revoked already"
    return (
        f"{resource(Kind.CERTIFICATE, certificate.name)} {state}: serial {found.serial}, "
        f"{found.reason.value}, at {done.issuer.reference}"
    )


def _question(certificate: Certificate, leaf: Leaf, reason: RevocationReason) -> str:
    names = [*leaf.dns_names, *leaf.ip_addresses]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    then = (
        " A new one with a new key is requested at once."
        if reason is RevocationReason.KEY_COMPROMISE
        else " Servers that use it will be refused by clients that check."
    )
    return (
        f"Revoke the certificate of {certificate.id} with serial {leaf.serial} for {', '.join(names[:3])}"
        f"{more} ({reason.value})? This cannot be undone.{then}"
    )
