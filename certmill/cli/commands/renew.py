"""`certmill renew`: requests that Certificates be issued again. A few are requested at once; many are spread
over a time, so that they are not due together again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from certmill.cli.commands.request import Waiting, follow_or_print
from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.kinds import Kind, missing
from certmill.cli.session import Session
from certmill.errors import InvalidManifest, NotFound
from certmill.model.durations import parse_duration
from certmill.model.label_selector import matches, parse_selector
from certmill.model.names import CertificateId, certificate_id, split_id
from certmill.views.times import away, moment

AT_ONCE = 20
"""At most this many are requested at once, if --over is not given."""
SECONDS_EACH = 6.0
LONGEST_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to renew: these names, or all in the namespace (None: in each one) that match the selector ("":
    all)."""

    names: tuple[str, ...] = ()
    namespace: str | None = "default"
    selector: str = ""


def renew(session: Session, selection: Selection, *, over: str, waiting: Waiting) -> ExitCode:
    """Request that these Certificates be issued again. `over`: a duration such as 2h, or "".

    Raises NotFound before anything is requested, InvalidManifest and StateUnavailable."""
    chosen = _chosen(session, selection)
    if not chosen:
        print_message(f"there is no such Certificate {_where(selection)}", prefix="note")
        return ExitCode.OK
    seconds = _seconds(over, len(chosen), is_named=bool(selection.names))
    if not seconds:
        handles = [
            session.client.renew(name, namespace=namespace) for namespace, name in map(split_id, chosen)
        ]
        return follow_or_print(session, handles, waiting, "renewal requested")
    if waiting.wait:
        raise InvalidManifest("0s is needed with --wait: the renewals are spread over a time", path="--over")
    return _plan(session, chosen, seconds)


def _plan(session: Session, chosen: Sequence[CertificateId], seconds: float) -> ExitCode:
    _ = session.client  # raises OtherInstallation before anything is planned
    now = session.fleet_clock.now()
    session.state.planned_renewals.plan(spread(chosen, begin=now, seconds=seconds))
    until = now + seconds
    print(
        f"{len(chosen)} renewals are planned: the first now, the last at {moment(until)} ({away(until, now)})"
    )
    return ExitCode.OK


def spread(chosen: Sequence[CertificateId], *, begin: float, seconds: float) -> dict[CertificateId, float]:
    """A time for each Certificate, evenly from `begin` to `begin + seconds`. Neighbours by name are far
    apart, so that the names of one domain are not requested together. Pure."""
    mixed = sorted(chosen, key=lambda one: hashlib.sha256(one.encode()).digest())
    step = seconds / max(1, len(mixed) - 1)
    return {certificate: begin + number * step for number, certificate in enumerate(mixed)}


def default_seconds(count: int) -> float:
    """The seconds over which so many renewals are spread: 10 a minute, at most a day; a few at once. Pure."""
    return 0.0 if count <= AT_ONCE else min(count * SECONDS_EACH, LONGEST_SECONDS)


def _seconds(over: str, count: int, *, is_named: bool) -> float:
    if not over:
        return 0.0 if is_named else default_seconds(count)
    try:
        seconds = parse_duration(over).total_seconds()
    except ValueError as error:
        raise InvalidManifest(str(error), path="--over") from None
    if not 0 <= seconds <= 90 * 86_400:
        raise InvalidManifest("must be between 0s and 2160h", path="--over")
    return seconds


def _chosen(session: Session, selection: Selection) -> list[CertificateId]:
    """The ids of the Certificates. Raises NotFound for a name that does not exist."""
    if selection.names:
        namespace = selection.namespace or "default"
        for name in selection.names:
            if session.home.certificate(certificate_id(namespace, name)) is None:
                raise NotFound(missing(Kind.CERTIFICATE, namespace, name))
        return [certificate_id(namespace, name) for name in selection.names]
    selector = parse_selector(selection.selector) if selection.selector else ()
    found = session.home.certificates(selection.namespace)
    return [certificate.id for certificate in found if matches(selector, certificate.labels)]


def _where(selection: Selection) -> str:
    return f"in namespace {selection.namespace}" if selection.namespace else "in any namespace"
