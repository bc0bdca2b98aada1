"""The manifests of a run: the Certificate, and the candidate issuer that the run uses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from certmill.certificates.candidates import Candidate, candidate_of, candidates_for, with_fallbacks
from certmill.errors import Permanent
from certmill.home.base import Home
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.runs.step_context import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifests:
    """What was read. `certificate` has the fall-back issuers that apply to it; it is None if it does not
    exist. `candidate` is None if the manifests have changed since the run began, so that it cannot go on."""

    certificate: Certificate | None = None
    candidate: Candidate | None = None


def read(context: StepContext, *, before_store: bool = False) -> RunManifests:
    """Read the manifests. The read cache is used only if they are as they were when the run began and no
    reconciliation has reported a change since.

    `before_store`: also read from the home itself whether the Certificate is being deleted, because a deleted
    Certificate must not get its Secret back. Raises InvalidManifest, HomeUnavailable."""
    if not context.record.again:
        found = _read(context.ports.home, context)
        if found.candidate is not None and not (before_store and _is_deleted(context)):
            return found
    return _read(context.uncached.home, context)


def read_for_clean_up(context: StepContext) -> tuple[Certificate | None, Issuer | None]:
    """The Certificate and the issuer with which the run began, each if it still exists.

    A solver from after a change would not clean up what the solver from before it has presented. Raises
    HomeUnavailable."""
    found, began_with = RunManifests(), context.facts.issuer
    with suppress(Permanent):
        found = read(context)
    if found.candidate is not None:
        return found.certificate, found.candidate.issuer
    with suppress(Permanent):
        if began_with is not None:
            return found.certificate, context.uncached.home.issuer(began_with)
    return found.certificate, None


def _read(home: Home, context: StepContext) -> RunManifests:
    certificate = home.certificate(context.certificate_id)
    if certificate is None:
        return RunManifests()
    candidates = candidates_for(home, certificate)
    return RunManifests(
        certificate=with_fallbacks(certificate, candidates),
        candidate=candidate_of(candidates, context.record.spec),
    )


def _is_deleted(context: StepContext) -> bool:
    now = context.uncached.home.certificate(context.certificate_id)
    return now is None or now.deleting
