"""Step 1: the issuer has an account at its CA."""

from __future__ import annotations

from dataclasses import replace

from certmill.pipeline import account
from certmill.pipeline.context import Work
from certmill.pipeline.outcome import Advanced, Outcome


def register_account(work: Work) -> Outcome:
    """Register the issuer's account (RFC 8555 §7.3), or find it registered."""
    found = account.register(work.ports, work.issuer, owner=work.id)
    issuer = work.issuer
    facts = replace(work.facts, account=found.uri, issuer_kind=issuer.kind, issuer_namespace=issuer.namespace, issuer_name=issuer.name)
    return Advanced(facts=facts)
