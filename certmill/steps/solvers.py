"""Chooses the solver for a name, as cert-manager does (pkg/util/solverpicker). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from certmill.acme.challenges import DNS01, HTTP01
from certmill.errors import SolverMisconfigured
from certmill.model.issuer import Issuer, Selector, Solver


def challenge_type(solver: Solver) -> str:
    """The type of the challenges that a solver can present."""
    return DNS01 if solver.dns01 is not None else HTTP01


def pick(issuer: Issuer, name: str, *, labels: Mapping[str, str], offered: Collection[str]) -> Solver:
    """The issuer's solver for `name` (with `*.` for a wildcard), of a type that the CA offers.

    An exact match in dnsNames comes first, then the longest match in dnsZones, then the most matchLabels,
    then the first in the list. Raises SolverMisconfigured."""
    ranked = [
        (rank, -index, solver)
        for index, solver in enumerate(issuer.solvers)
        if challenge_type(solver) in offered and (rank := _rank(solver.selector, name, labels)) is not None
    ]
    if ranked:
        return max(ranked, key=lambda entry: entry[:2])[2]
    wanted = (
        "dns-01 (a wildcard needs it)"
        if name.startswith("*.")
        else " or ".join(sorted(offered)) or "no type that certmill has"
    )
    raise SolverMisconfigured(
        f"no solver of {issuer.reference} is for {name}: the CA offers {wanted}; "
        "add a solver, or change the selectors, under spec.acme.solvers"
    )


def _rank(selector: Selector | None, name: str, labels: Mapping[str, str]) -> tuple[int, int, int] | None:
    """(exact name, labels of the longest matching zone, matched labels), or None if a selector that is set
    does not match."""
    if selector is None:
        return (0, 0, 0)
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return None
    if selector.dns_names and name not in selector.dns_names:
        return None
    bare = name.removeprefix("*.")
    zones = [zone for zone in selector.dns_zones if bare == zone or bare.endswith(f".{zone}")]
    if selector.dns_zones and not zones:
        return None
    longest = max((zone.count(".") + 1 for zone in zones), default=0)
    return (1 if selector.dns_names else 0, longest, len(selector.match_labels))
