"""The manifests of a run: the Certificate, its issuer, and the digest that shows whether they changed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from certmill.certificates.candidates import issuer_of_run, issuers_for
from certmill.certificates.digest import digests
from certmill.errors import Permanent
from certmill.home.base import Home
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.runs.step_context import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifests:
    """What was read. None: it does not exist. `issuer` is the candidate with which the run continues.
    `specs`: the digest with each candidate; empty without a Certificate."""

    certificate: Certificate | None = None
    issuer: Issuer | None = None
    specs: tuple[str, ...] = ()


def read(context: StepContext, *, before_store: bool = False) -> RunManifests:
    """Read the manifests. The read cache is used only if they are as they were when the run began and no
    reconciliation has reported a change since.

    `before_store`: also read from the home itself whether the Certificate is being deleted, because a deleted
    Certificate must not get its Secret back. Raises InvalidManifest, HomeUnavailable."""
    if not context.record.again:
        found = _read(context.ports.home, context)
        if context.record.spec in found.specs and not (before_store and _is_deleted(context)):
            return found
    return _read(context.uncached.home, context)


def read_for_clean_up(context: StepContext) -> RunManifests:
    """The Certificate, if it still exists, and the issuer with which the run began.

    A solver from after a change would not clean up what the solver from before it has presented. Raises
    HomeUnavailable."""
    found, facts = RunManifests(), context.facts
    with suppress(Permanent):
        found = read(context)
    if context.record.spec in found.specs:
        return found
    issuer = found.issuer
    with suppress(Permanent):
        issuer = context.uncached.home.issuer(facts.issuer) if facts.issuer_name else None
    return RunManifests(certificate=found.certificate, issuer=issuer, specs=found.specs)


def _read(home: Home, context: StepContext) -> RunManifests:
    certificate = home.certificate(context.certificate_id)
    if certificate is None:
        return RunManifests()
    issuers = issuers_for(home, certificate)
    return RunManifests(
        certificate=certificate,
        issuer=issuer_of_run(issuers, context.facts.issuer),
        specs=digests(certificate, issuers),
    )


def _is_deleted(context: StepContext) -> bool:
    now = context.uncached.home.certificate(context.certificate_id)
    return now is None or now.deleting
