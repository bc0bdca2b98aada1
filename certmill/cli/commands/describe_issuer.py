"""The part of `certmill describe` that is about issuers."""

from __future__ import annotations

from certmill.budgets.buckets import Account
from certmill.budgets.profiles import limits_of
from certmill.cli.columns import condition_lines, fields, table
from certmill.cli.kinds import Kind, missing
from certmill.cli.session import Session
from certmill.errors import NotFound
from certmill.model.issuer import Issuer, SecretKeyRef, Solver
from certmill.model.object_ref import ObjectRef


def issuer_lines(session: Session, kind: Kind, namespace: str, name: str) -> list[str]:
    """The lines about an Issuer or ClusterIssuer. Raises NotFound."""
    issuer = session.home.issuer(ObjectRef.of(kind, namespace, name))
    if issuer is None:
        raise NotFound(missing(kind, namespace, name))
    status, now = session.home.issuer_status(issuer), session.now()
    binding, secrets = issuer.external_account_binding, session.home.secrets_namespace(issuer)
    lines = fields(
        [
            ("Name", name),
            ("Namespace", namespace),
            ("Server", issuer.server),
            ("Email", issuer.email),
            ("Profile", issuer.profile),
            ("Preferred chain", issuer.preferred_chain),
            ("Account", status.uri or "not registered yet"),
            ("Account key", _key_at(secrets, issuer.private_key)),
            (
                "External account",
                f"{binding.key_id}, its key in {_key_at(secrets, binding.key_secret_ref)}" if binding else "",
            ),
            (
                "TLS",
                "NOT VERIFIED (skipTLSVerify)"
                if issuer.skip_tls_verify
                else "own roots (caBundle)"
                if issuer.ca_bundle
                else "",
            ),
        ]
    )
    conditions = condition_lines(status.conditions, now)
    return [*lines, *conditions, *_rate_limits(session, issuer, status.uri), *_solvers(issuer)]


def _rate_limits(session: Session, issuer: Issuer, uri: str) -> list[str]:
    """The rate limits that certmill keeps. LEFT: what the account may do now."""
    limits = limits_of(issuer.server, issuer.rate_limits)
    if not limits:
        return []
    buckets = Account(server=issuer.server, uri=uri, limits=limits).of_the_account()
    left = session.tokens_left(buckets)
    known = {bucket.name: str(left[bucket.id]) for bucket in buckets if bucket.id in left}
    rows = [(name, str(limit), known.get(name, "")) for name, limit in limits.items()]
    return ["Rate limits:", *(f"  {line}" for line in table(("LIMIT", "ALLOWED", "LEFT"), rows))]


def _key_at(namespace: str, ref: SecretKeyRef) -> str:
    return f"Secret {namespace}/{ref.name}, key {ref.key}"


def _solvers(issuer: Issuer) -> list[str]:
    if not issuer.solvers:
        return ["Solvers:  none: only names that the CA has already validated can be issued"]
    return [
        "Solvers:",
        *(
            f"  {line}"
            for line in table(("TYPE", "BY", "FOR"), [_solver(solver) for solver in issuer.solvers])
        ),
    ]


def _solver(solver: Solver) -> tuple[str, str, str]:
    selector = solver.selector
    chosen: list[str] = []
    if selector is not None:
        chosen = [*selector.dns_names, *(f"zone {zone}" for zone in selector.dns_zones)]
        chosen += [f"label {name}={value}" for name, value in selector.match_labels.items()]
    names = ", ".join(chosen) or "every name"
    if solver.dns01 is None:
        return "http-01", "the responder", names
    return "dns-01", solver.dns01.provider.summary, names
