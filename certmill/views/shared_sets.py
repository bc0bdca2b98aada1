"""Says whether too many Certificates share one set of names for the rate limit of their CA. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from certmill.budgets.buckets import exact_set
from certmill.budgets.profiles import limits_of
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.rate_limit import LimitName
from certmill.model.status import CertificateStatus


def too_many_copies(
    certificate: Certificate, issuer: Issuer | None, status: CertificateStatus, all_: Iterable[Certificate]
) -> str:
    """The warning for a Certificate whose names are those of too many others (`all_`) of the same issuer. ""
    if they are not too many, if the CA has no limit for a set, or if nothing was issued yet.

    A CA that gives one certificate back each `interval` can renew as many copies as there are intervals
    between two renewals. At Let's Encrypt these are 2 copies that are renewed after 80 h,
    and 42 that are renewed after 60 days."""
    limit = (
        limits_of(issuer.server, issuer.rate_limits).get(LimitName.CERTIFICATES_PER_SET) if issuer else None
    )
    if limit is None or status.not_before is None or status.renewal_time is None:
        return ""
    most = max(1, math.floor((status.renewal_time - status.not_before) / limit.interval))
    names = exact_set(certificate.identifiers)
    copies = sum(
        exact_set(other.identifiers) == names and other.issuer_ref == certificate.issuer_ref for other in all_
    )
    if copies <= most:
        return ""
    return (
        f"{copies} Certificates have exactly these names, and {LimitName.CERTIFICATES_PER_SET} of the CA "
        f"allows the renewal of {most}: let them share one Secret, or add a name to some of them"
    )
