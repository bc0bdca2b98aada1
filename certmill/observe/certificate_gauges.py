"""cert-manager's gauges for each certificate and issuer, written directly as text because there may be a
hundred thousand.

Each certificate has a small value in Redis. Another release may have written it; a value that cannot be read
is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.persisted import JSON_NAME, Codec
from certmill.observe.exposition import family, head, labels

CONDITIONS: Final = ("True", "False", "Unknown")
RISKS: Final = ("at-risk", "critical")
DEFAULT_GROUP: Final = "cert-manager.io"
_LINES_AT_ONCE: Final = 2000
_PREFIX: Final = "certmanager_certificate_"
_INSTANTS: Final = (
    ("expiration_timestamp_seconds", "after", "When the certificate expires; 0: there is none."),
    ("not_after_timestamp_seconds", "after", "When the certificate expires; 0: there is none."),
    ("not_before_timestamp_seconds", "before", "Since when the certificate is valid; 0: there is none."),
    ("renewal_timestamp_seconds", "renewal", "When the certificate is to be renewed; 0: there is none."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateGauge:
    """A Certificate; instants in seconds since the epoch. `ready`: its condition, None if it has none."""

    issuer_name: str = field(default="", metadata={JSON_NAME: "issuer"})
    issuer_kind: str = field(default="Issuer", metadata={JSON_NAME: "kind"})
    issuer_group: str = field(default=DEFAULT_GROUP, metadata={JSON_NAME: "group"})
    not_before: float | None = field(default=None, metadata={JSON_NAME: "from"})
    not_after: float | None = field(default=None, metadata={JSON_NAME: "to"})
    renewal_time: float | None = field(default=None, metadata={JSON_NAME: "renewal"})
    ready: bool | None = None

    def to_json(self) -> str:
        """The value for Redis, written by the codec of all persisted values."""
        return _CODEC.dump(self)


_CODEC: Final = Codec(CertificateGauge)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    labels: str
    before: float
    after: float
    renewal: float
    ready: str
    risk: str


def certificates_text(
    entries: Mapping[str, str], *, now: float, risk_of: Callable[[CertificateGauge], str]
) -> Iterator[str]:
    """The gauges of certificates, by id (`namespace/name`). An expired certificate is not ready, whatever the
    stored value says. `risk_of`: the level of risk of a certificate, one of RISKS, or another word if it is
    not at risk."""
    rows = [row for id_, entry in entries.items() if (row := _row(id_, entry, now, risk_of)) is not None]
    yield from _risks(rows)
    if not rows:
        return
    for name, of, help_text in _INSTANTS:
        yield head(f"{_PREFIX}{name}", "gauge", help_text)
        for part in _parts(rows):
            yield "".join([f"{_PREFIX}{name}{{{row.labels}}} {getattr(row, of)}\n" for row in part])
    name = f"{_PREFIX}ready_status"
    yield head(name, "gauge", "1 for the status that the condition Ready has, 0 for the others.")
    for part in _parts(rows):
        yield "".join(
            [
                f'{name}{{{row.labels},condition="{one}"}} {int(row.ready == one)}\n'
                for row in part
                for one in CONDITIONS
            ]
        )


def _risks(rows: Sequence[_Row]) -> Iterator[str]:
    """The number of certificates at each level of risk, and a series for each certificate that has one."""
    risky = [row for row in rows if row.risk in RISKS]
    counts = [({"level": level}, float(sum(row.risk == level for row in risky))) for level in RISKS]
    yield from family(
        "certmill_certificates_at_risk", "gauge", "Certificates at this level of risk to expire.", counts
    )
    if not risky:
        return
    name = "certmill_certificate_risk"
    yield head(name, "gauge", "1 for the level of risk that a certificate has; none: it is not at risk.")
    for part in _parts(risky):
        yield "".join([f'{name}{{{row.labels},level="{row.risk}"}} 1\n' for row in part])


def issuers_text(entries: Mapping[str, str]) -> Iterator[str]:
    """The ready gauges of issuers, by reference (`Issuer/namespace/name`, `ClusterIssuer/name`)."""
    for kind in ("Issuer", "ClusterIssuer"):
        samples = []
        for reference, ready in entries.items():
            found, _, rest = reference.partition("/")
            if found != kind:
                continue
            namespace, _, name = rest.rpartition("/")
            of = {"name": name, "namespace": namespace} if kind == "Issuer" else {"name": name}
            samples += [({**of, "condition": one}, float(ready == one)) for one in CONDITIONS]
        yield from family(
            f"certmanager_{kind.lower()}_ready_status",
            "gauge",
            f"1 for the status that the {kind} has.",
            samples,
        )


def _row(id_: str, entry: str, now: float, risk_of: Callable[[CertificateGauge], str]) -> _Row | None:
    """Read a stored value; None if this release cannot read it."""
    try:
        gauge = _CODEC.load(entry)
    except (NewerRelease, DamagedValue):
        return None
    namespace, _, name = id_.partition("/")
    of = {
        "name": name,
        "namespace": namespace,
        "issuer_name": gauge.issuer_name,
        "issuer_kind": gauge.issuer_kind,
        "issuer_group": gauge.issuer_group,
    }
    after = gauge.not_after or 0.0
    ready = "Unknown" if gauge.ready is None else str(gauge.ready and now < after)
    return _Row(
        labels=labels(of),
        before=gauge.not_before or 0.0,
        after=after,
        renewal=gauge.renewal_time or 0.0,
        ready=ready,
        risk=risk_of(gauge),
    )


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for start in range(0, len(rows), _LINES_AT_ONCE):
        yield rows[start : start + _LINES_AT_ONCE]
