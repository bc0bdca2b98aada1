"""`certmill delete`: removes manifests and Secrets from the home. The Secret of a Certificate stays, as with
cert-manager."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.kinds import Kind, missing, resource
from certmill.cli.session import Session


def delete(session: Session, kind: Kind, names: Sequence[str], *, namespace: str) -> ExitCode:
    """Delete these objects, and request a re-read of the home.

    An object that does not exist is an error on stderr and the exit code NOT_FOUND; the other objects are
    deleted. Raises HomeUnavailable.
    """
    where = "" if kind is Kind.CLUSTER_ISSUER else namespace
    code = ExitCode.OK
    deleted = False
    for name in names:
        if _gone(session, kind, where, name):
            deleted = True
            print(f"{resource(kind, name)} deleted")
        else:
            code = ExitCode.NOT_FOUND
            print_message(missing(kind, where, name))
    if deleted:
        session.request_reread()
    return code


def _gone(session: Session, kind: Kind, namespace: str, name: str) -> bool:
    if kind is Kind.SECRET:
        return session.home.delete_secret(namespace, name)
    return session.home.delete(kind, namespace, name)
