"""Log lines about requests, certificates and runs, and the counters of runs. This is the only place with the
names of these lines and their fields (docs/logs.md). Times are in ISO 8601."""

from __future__ import annotations

from certmill.clock import instant
from certmill.observe import recording
from certmill.observe.log import get_logger

_log = get_logger("certmill.certificates")


def request_accepted(request_id: str, certificate: str, *, run: int, reason: str) -> None:
    """A request was accepted. `run` is 0 if nothing has to be issued."""
    _log.info("request.accepted", request_id=request_id, certificate=certificate, run=run, reason=reason)


def request_refused(request_id: str, certificate: str, *, reason: str) -> None:
    """A request was refused; the reason is stored."""
    _log.info("request.refused", request_id=request_id, certificate=certificate, reason=reason)


def run_begun(certificate: str, *, run: int, trigger: str, reason: str, message: str, issuer: str) -> None:
    """A run has started: its trigger, and the check that the stored pair failed."""
    _log.info(
        "certificate.run_begun",
        certificate=certificate,
        run=run,
        trigger=trigger,
        reason=reason,
        message=message,
        issuer=issuer,
    )


def waiting(certificate: str, *, run: int, step: str, reason: str, until: float) -> None:
    """A run waits for more than a minute. Logged once for each reason."""
    _log.info(
        "certificate.waiting", certificate=certificate, run=run, step=step, reason=reason, until=_iso(until)
    )


def delivered(certificate: str, *, secret_name: str, serial: str) -> None:
    """The pair is stored in its Secret."""
    _log.info("certificate.delivered", certificate=certificate, secret_name=secret_name, serial=serial)


def issued(
    certificate: str,
    *,
    run: int,
    renews: bool,
    serial: str,
    not_after: float,
    renew_at: float,
    issuer: str,
    seconds: float,
) -> None:
    """A run has issued its certificate: the first one, or a renewal."""
    _log.info(
        "certificate.renewed" if renews else "certificate.issued",
        certificate=certificate,
        run=run,
        serial=serial,
        not_after=_iso(not_after),
        renew_at=_iso(renew_at),
        issuer=issuer,
        seconds=round(seconds, 1),
    )
    recording.sink().run("issued", "", seconds)


def failed(
    certificate: str,
    *,
    run: int,
    step: str,
    failure_class: str,
    reason: str,
    next_attempt: float,
    seconds: float,
) -> None:
    """A run has failed; the next one starts automatically."""
    _log.warning(
        "certificate.failed",
        certificate=certificate,
        run=run,
        step=step,
        failure_class=failure_class,
        reason=reason,
        next_attempt=_iso(next_attempt),
        seconds=round(seconds, 1),
    )
    recording.sink().run("failed", failure_class, seconds)


def revoked(certificate: str, *, serial: str, reason: str, signed_by: str, is_new: bool) -> None:
    """A person has revoked a certificate. `is_new` is False if the CA says that it was revoked before."""
    _log.warning(
        "certificate.revoked",
        certificate=certificate,
        serial=serial,
        reason=reason,
        signed_by=signed_by,
        is_new=is_new,
    )


def run_dropped(certificate: str, *, run: int, reason: str, seconds: float) -> None:
    """A run has ended without a certificate or a failure: its manifest was changed or deleted."""
    _log.info("certificate.run_dropped", certificate=certificate, run=run, reason=reason)
    recording.sink().run("dropped", "", seconds)


def fell_back(certificate: str, *, run: int, step: str, used: str, following: str, reason: str) -> None:
    """A run has ended because its issuer (`used`) cannot issue now; the next run uses the issuer
    `following`."""
    _log.warning(
        "certificate.fell_back",
        certificate=certificate,
        run=run,
        step=step,
        used=used,
        following=following,
        reason=reason,
    )
    recording.sink().fallback(used, following)


def risk_changed(certificate: str, *, level: str, reason: str) -> None:
    """The level of risk of a stored pair has changed: at-risk, critical or none."""
    write = _log.info if level == "none" else _log.warning
    write("certificate.risk_changed", certificate=certificate, level=level, reason=reason)


def adopted(certificate: str, *, not_after: float | None, renew_at: float | None) -> None:
    """A correct pair was adopted: this installation did not issue it, or Redis lost its data."""
    _log.info(
        "certificate.adopted", certificate=certificate, not_after=_iso(not_after), renew_at=_iso(renew_at)
    )


def tick_failed(tick: str, *, reason: str) -> None:
    """A tick has failed; the next one tries again."""
    _log.warning("tick.failed", tick=tick, reason=reason)


def _iso(at: float | None) -> str:
    return instant(at).isoformat(timespec="seconds") if at is not None else ""
