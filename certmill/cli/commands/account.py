"""`certmill account`: gives the account of an issuer a new key, or deactivates it."""

from __future__ import annotations

import uuid

from certmill.cli.confirm import confirm
from certmill.cli.exit_codes import ExitCode
from certmill.cli.kinds import Kind, missing, resource
from certmill.cli.session import Session
from certmill.errors import NotFound
from certmill.issuers import account_commands
from certmill.model.issuer import Issuer
from certmill.model.object_ref import ISSUER_KINDS, ObjectRef
from certmill.runs.ports import Ports


def rollover(session: Session, name: str, *, namespace: str, kind: str) -> ExitCode:
    """Give the account a new key. Raises NotFound and the errors of issuers.account_commands.roll_over."""
    with session.ports() as ports:
        issuer = _issuer(ports, name, namespace=namespace, kind=kind)
        key_hash = account_commands.roll_over(ports, issuer, owner=f"rollover {uuid.uuid4()}")
        print(f"{resource(issuer.kind, issuer.name)}: the account has a new key (hash {key_hash})")
        return ExitCode.OK


def deactivate(session: Session, name: str, *, namespace: str, kind: str, yes: bool) -> ExitCode:
    """Deactivate the account. Raises NotFound, InvalidManifest (there is no terminal, and --yes is not
    given), and the errors of issuers.account_commands.deactivate."""
    with session.ports() as ports:
        issuer = _issuer(ports, name, namespace=namespace, kind=kind)
        question = (
            f"Deactivate the account of {issuer.reference} at {issuer.server}? This cannot be undone, and no "
            "certificate is issued or renewed by this issuer until it has another account key."
        )
        if not yes and not confirm(question):
            print("nothing was changed")
            return ExitCode.FAILED
        uri = account_commands.deactivate(ports, issuer)
        print(f"{resource(issuer.kind, issuer.name)}: the account {uri} is deactivated")
        return ExitCode.OK


def _issuer(ports: Ports, name: str, *, namespace: str, kind: str) -> Issuer:
    """The issuer of this name: without a kind the namespace's Issuer, otherwise the ClusterIssuer. Raises
    NotFound."""
    for one in (kind,) if kind else ISSUER_KINDS:
        if (found := ports.home.issuer(ObjectRef.of(one, namespace, name))) is not None:
            return found
    raise NotFound(missing(kind or Kind.ISSUER, "" if kind == Kind.CLUSTER_ISSUER else namespace, name))
