"""Puts together what was observed of a Certificate, its Secret and its candidate issuers (`Observation`)."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.certificates import secret_contract
from certmill.certificates.candidates import Candidate
from certmill.home.base import ObservedCertificate
from certmill.model.certificate import Certificate
from certmill.model.secret import Secret
from certmill.renewal.observation import Observation, observe


def observation_of(
    observed: ObservedCertificate,
    secret: Secret | None,
    unusable: str,
    candidates: Sequence[Candidate],
    *,
    jitter_seconds: float,
) -> Observation:
    """The observation, on which the decision depends. `candidates` is empty if the first issuer is not valid.
    Pure."""
    return observe(
        observed.certificate,
        secret,
        observed.status,
        tuple(candidate.spec for candidate in candidates) or ("",),
        unusable=unusable,
        jitter_seconds=jitter_seconds,
        uses_ari=_uses_ari(observed.certificate, candidates, secret),
    )


def _uses_ari(certificate: Certificate, candidates: Sequence[Candidate], secret: Secret | None) -> bool:
    """Whether the issuer of the pair in the Secret uses the renewal information of its CA. True if the issuer
    is not known: what the CA has answered still counts."""
    ref = secret_contract.candidate_in(secret, certificate) if secret is not None else None
    used = next((one.issuer for one in candidates if one.ref == ref), None)
    return used is None or used.uses_ari
