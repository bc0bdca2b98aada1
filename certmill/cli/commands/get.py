"""`certmill get`: prints objects with cert-manager's printer columns (reference §1.4), or the whole
objects. It reads Redis only for the refused requests, and for the cause that blocks a certificate that is
not ready."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certmill.cli.columns import table
from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.kinds import Kind, missing, plural
from certmill.cli.session import Session
from certmill.errors import NotFound
from certmill.home.base import Survey
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import dump_yaml
from certmill.model.names import certificate_id
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, Condition, IssuerStatus, as_of
from certmill.renewal.risk import RiskLevel, level_in, with_risk
from certmill.views import objects
from certmill.views.times import age, timestamp

if TYPE_CHECKING:
    from certmill.state.requests import Rejection
    from certmill.views.observations import Observations


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object: its columns, the columns that `-o wide` adds, and a function that returns the whole
    object."""

    namespace: str
    name: str
    columns: tuple[str, ...]
    wide: tuple[str, ...] = ()
    risk: str = ""
    """The level of risk; a column that is shown if any row has one."""
    cause: str = ""
    """What blocks the object. This is the last column; it is shown if any row has a cause."""
    is_ready: bool = True
    whole: Callable[[], objects.Object]


HEADERS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.CERTIFICATE: (("READY", "SECRET", "AGE"), ("ISSUER", "STATUS", "EXPIRATION")),
    Kind.ISSUER: (("READY", "AGE"), ("STATUS",)),
    Kind.CLUSTER_ISSUER: (("READY", "AGE"), ("STATUS",)),
    Kind.SECRET: (("TYPE", "DATA", "AGE"), ()),
}


def get(
    session: Session,
    kind: Kind,
    names: Sequence[str],
    *,
    namespace: str | None,
    output: str,
    check: bool = False,
) -> ExitCode:
    """Print the named objects, or all if there are no names; `namespace` None means every namespace. A name
    that does not exist and a manifest that cannot be used are messages on stderr; the rest is printed.

    Returns NOT_FOUND if a name does not exist. With `check`, returns NOT_READY if an object is not ready, if
    a manifest in the home cannot be used, or if the home has no manifest. Raises HomeUnavailable, and
    StateUnavailable for requests.
    """
    if kind is Kind.REQUEST:
        return _requests(session, output)
    where = "" if kind is Kind.CLUSTER_ISSUER else namespace
    code, problems = ExitCode.OK, 0
    if names:
        rows = []
        for name in names:
            try:
                rows.append(_one(session, kind, where or "", name))
            except NotFound as error:
                print_message(str(error))
                code = ExitCode.NOT_FOUND
    else:
        rows = list(_all(session, kind, where))
        problems = _warn_of_problems(session.home.survey())
    _print(session, kind, rows, where=where, output=output, single=len(names) == 1)
    is_wrong = check and (problems or not all(row.is_ready for row in rows) or _is_empty(session, rows))
    return ExitCode.NOT_READY if is_wrong and code is ExitCode.OK else code


def _warn_of_problems(survey: Survey) -> int:
    """Print what cannot be used, and the Secrets that do not have the content of their documents. Returns
    their number."""
    for problem in survey.problems:
        print_message(f"{problem.source}: {problem.message}", prefix="warning")
    for ref in survey.unwritten:
        print_message(
            f"Secret {ref.namespace}/{ref.name} does not have the content of its document in manifests/; a "
            "worker writes it within seconds, or logs why it cannot",
            prefix="warning",
        )
    return len(survey.problems) + len(survey.unwritten)


def _print(
    session: Session, kind: Kind, rows: Sequence[Row], *, where: str | None, output: str, single: bool
) -> None:
    if output in ("yaml", "json"):
        whole = [row.whole() for row in rows]
        if not (single and not whole):
            print(_dumped(whole[0] if single else objects.several(whole), output))
    elif rows:
        print("\n".join(_table(kind, rows, wide=output == "wide", namespaces=where is None)))
    elif not single:
        print_message(f"no {plural(kind)} found{f' in namespace {where}' if where else ''}", prefix="note")
        _warn_of_empty_home(session)


def _warn_of_empty_home(session: Session) -> None:
    """Print a note if the home has no manifest: the setting of the home is then most often wrong."""
    if not _is_empty(session, ()):
        return
    if session.is_in_cluster:
        print_message("the cluster has no manifest; check CERTMILL_KUBECONFIG", prefix="note")
    else:
        print_message(
            f"the home {session.settings.home.absolute()} has no manifest; check CERTMILL_HOME",
            prefix="note",
        )


def _is_empty(session: Session, rows: Sequence[Row]) -> bool:
    return not rows and not session.home.survey().snapshots


def _dumped(value: Mapping[str, object], output: str) -> str:
    return (
        json.dumps(value, indent=4, ensure_ascii=True) if output == "json" else dump_yaml(value).rstrip("\n")
    )


def _table(kind: Kind, rows: Sequence[Row], *, wide: bool, namespaces: bool) -> list[str]:
    ordinary, more = HEADERS[kind]
    first = ("NAMESPACE", "NAME") if namespaces else ("NAME",)
    risks, causes = any(row.risk for row in rows), any(row.cause for row in rows)
    cells = [
        ((row.namespace, row.name) if namespaces else (row.name,))
        + row.columns
        + (row.wide if wide else ())
        + ((row.risk,) if risks else ())
        + ((row.cause,) if causes else ())
        for row in rows
    ]
    last = (*(("RISK",) if risks else ()), *(("CAUSE",) if causes else ()))
    return table((*first, *ordinary, *(more if wide else ()), *last), cells)


def _all(session: Session, kind: Kind, namespace: str | None) -> Iterator[Row]:
    home, observations = session.home, session.observations
    match kind:
        case Kind.CERTIFICATE:
            yield from (
                _certificate(session, observations, certificate)
                for certificate in home.certificates(namespace)
            )
        case Kind.SECRET:
            yield from (_secret(session, secret) for secret in home.secrets(namespace))
        case _:
            found = home.issuers(None if kind is Kind.CLUSTER_ISSUER else namespace)
            yield from (_issuer(session, issuer) for issuer in found if issuer.kind == kind)


def _one(session: Session, kind: Kind, namespace: str, name: str) -> Row:
    """The row of one object. Raises NotFound."""
    home = session.home
    if kind is Kind.CERTIFICATE:
        certificate = home.certificate(certificate_id(namespace, name))
        if certificate is not None:
            return _certificate(session, session.observations, certificate)
    elif kind is Kind.SECRET:
        secret = home.secret(namespace, name)
        if secret is not None:
            return _secret(session, secret)
    else:
        issuer = home.issuer(ObjectRef.of(kind, namespace, name))
        if issuer is not None:
            return _issuer(session, issuer)
    raise NotFound(missing(kind, namespace, name))


def _certificate(session: Session, observations: Observations, certificate: Certificate) -> Row:
    stored = session.home.certificate_status(certificate.id)
    status = with_risk(as_of(stored, session.now()), session.now())
    level, cause = level_in(status), observations.blocked(certificate, stored)
    created = _created(session, Kind.CERTIFICATE, certificate.namespace, certificate.name, status.conditions)
    ready = status.condition("Ready")
    return Row(
        namespace=certificate.namespace,
        name=certificate.name,
        columns=(_status_word(ready), certificate.secret_name, age(created, session.now())),
        wide=(certificate.issuer_ref.name, ready.message if ready else "", _expiration(status)),
        risk="" if level is RiskLevel.NONE else level.value,
        cause=str(cause) if cause is not None else "",
        is_ready=ready is not None and ready.status,
        whole=lambda: objects.certificate_object(certificate, status, created),
    )


def _issuer(session: Session, issuer: Issuer) -> Row:
    status: IssuerStatus = session.home.issuer_status(issuer)
    created = _created(session, issuer.kind, issuer.namespace, issuer.name, status.conditions)
    ready = status.condition("Ready")
    return Row(
        namespace=issuer.namespace,
        name=issuer.name,
        columns=(_status_word(ready), age(created, session.now())),
        wide=(ready.message if ready else "",),
        is_ready=ready is not None and ready.status,
        whole=lambda: objects.issuer_object(issuer, status, created),
    )


def _secret(session: Session, secret: Secret) -> Row:
    created = session.home.created(ObjectRef.of(Kind.SECRET.value, secret.namespace, secret.name))
    return Row(
        namespace=secret.namespace,
        name=secret.name,
        columns=(secret.type, str(len(secret.data)), age(created, session.now())),
        whole=lambda: objects.secret_object(secret, created),
    )


def _created(
    session: Session, kind: str, namespace: str, name: str, conditions: Sequence[Condition]
) -> float | None:
    """The earliest known time of the object, in seconds since the epoch; None if unknown. A directory does
    not store when a manifest was first written, and a condition may be older than the file."""
    found = session.home.created(ObjectRef.of(kind, namespace, name))
    return min(
        [*(condition.last_transition for condition in conditions), *([] if found is None else [found])],
        default=None,
    )


def _status_word(condition: Condition | None) -> str:
    return str(condition.status) if condition else ""


def _expiration(status: CertificateStatus) -> str:
    return timestamp(status.not_after) if status.not_after is not None else ""


def _requests(session: Session, output: str) -> ExitCode:
    """Print the refused requests, newest first. Raises StateUnavailable."""
    refused = session.state.requests.rejections()
    if output in ("yaml", "json"):
        print(_dumped(objects.several([_rejection(rejection) for rejection in refused]), output))
    elif refused:
        now = session.now()
        print(
            "\n".join(
                table(
                    ("AGE", "CERTIFICATE", "REASON"),
                    [(age(r.at, now), r.certificate, r.reason) for r in refused],
                )
            )
        )
    else:
        print_message("no request was refused", prefix="note")
    return ExitCode.OK


def _rejection(rejection: Rejection) -> objects.Object:
    return {
        "at": timestamp(rejection.at),
        "requestId": rejection.request_id,
        "certificate": rejection.certificate,
        "reason": rejection.reason,
    }
