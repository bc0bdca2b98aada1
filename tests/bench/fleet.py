"""The certificates of the simulated year, and what happens to them (tests.bench.year)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from certmill.certificates.secret_contract import annotations_of
from certmill.crypto import chain, keys
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, PrivateKeySpec, Subject
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, TLS_TYPE, Secret
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import Decision, as_requested, decide
from certmill.renewal.observation import Observation
from certmill.settings import Settings

START: Final = 1_800_000_000.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY
SWITCH: Final = START + YEAR / 2
"""From here on the profile `classic` gives 64 days instead of 90."""
OUTAGES: Final = tuple(
    (START + day * DAY, START + day * DAY + hours * HOUR) for day, hours in ((60, 6), (120, 48), (210, 72))
)
REVOCATION: Final = START + 290 * DAY
REVOKED_SHARE: Final = 0.3
DEAD_SHARE: Final = 0.02
LAUNCH: Final = START + 30 * DAY
LAUNCH_SHARE: Final = 0.01
"""These Certificates are created at LAUNCH, and as many one by one during the year."""
_MIX: Final = (("160 hours", 0.01), ("45 days", 0.15))
_NEVER: Final = float("inf")
_BACKDATED: Final = HOUR
_SPEC: Final = "the digest of the desired state"
_KEY: Final = PrivateKeySpec(algorithm=KeyAlgorithm.ED25519, size=0)
_REF: Final = IssuerRef(name="bench", kind="ClusterIssuer")


@dataclass(slots=True, kw_only=True)
class Member:
    """A certificate of the fleet. `dies`: from then on its name is not validated. `run_since`: when the run
    under way began, or 0. `asked`: it was revoked, and a new one was asked for."""

    certificate: Certificate
    secret: Secret
    profile: str
    domain: int
    dies: float
    leaf: chain.Leaf | None = None
    issued: float | None = None
    failures: int = 0
    failed_at: float | None = None
    next_attempt: float | None = None
    run_since: float = 0.0
    asked: bool = False
    expired: bool = False

    def decide(self, now: float) -> Decision:
        """The decision of a reconciliation."""
        return as_requested(decide(self.observation, now), asked=self.asked, ignore_back_off=False)

    @property
    def observation(self) -> Observation:
        """What a reconciliation observes."""
        return Observation(
            certificate=self.certificate,
            secret=self.secret if self.leaf is not None else None,
            leaf=self.leaf,
            unusable="",
            status=self._status(),
            specs=(_SPEC,),
            jitter_seconds=Settings.model_fields["renewal_jitter_seconds"].default,
        )

    def _status(self) -> CertificateStatus:
        return CertificateStatus(
            last_issuance_time=self.issued,
            last_failure_time=self.failed_at,
            next_attempt=self.next_attempt,
            failed_issuance_attempts=self.failures,
            failed_spec=_SPEC if self.failures else "",
        )

    def lifetime(self, now: float) -> float:
        """Seconds that a certificate of this profile is valid if it is issued now."""
        classic = 64 * DAY if now >= SWITCH else 90 * DAY
        return {"160 hours": 160 * HOUR, "45 days": 45 * DAY}.get(self.profile, classic)

    def store(self, now: float, serial: str) -> None:
        """A certificate was issued."""
        not_before = now - _BACKDATED
        self.leaf = chain.Leaf(
            serial=serial,
            not_before=not_before,
            not_after=not_before + self.lifetime(now),
            dns_names=self.certificate.dns_names,
            ip_addresses=(),
            uris=(),
            email_addresses=(),
            common_name="",
            subject=Subject(),
            public_key=_public_key(self.secret),
            issuer_common_name="bench",
        )
        self.issued, self.failures, self.failed_at, self.next_attempt = now, 0, None, None
        self.run_since, self.asked = 0.0, False


_PUBLIC_KEYS: dict[bytes, str] = {}


def _public_key(secret: Secret) -> str:
    pem = secret.data[TLS_PRIVATE_KEY]
    if pem not in _PUBLIC_KEYS:
        _PUBLIC_KEYS[pem] = chain.key_of(pem)
    return _PUBLIC_KEYS[pem]


def make(
    count: int, chance: random.Random, *, launch_share: float = LAUNCH_SHARE
) -> list[tuple[float, Member]]:
    """The fleet, each with the time at which it is first reconciled: those that exist at START have a
    certificate of any age before its renewal. A fifth as many registered domains; the largest has 3 % of all
    Certificates."""
    secret = _secret()
    domains = max(1, count // 5)
    fleet = []
    for number in range(count):
        domain = number if number < domains else int(domains * chance.random() ** 3)
        member = _member(number, domain, secret, chance)
        fleet.append((_first(member, number / count, launch_share, chance), member))
    return fleet


def _first(member: Member, place: float, launch_share: float, chance: random.Random) -> float:
    """When it is first reconciled. The last of the fleet are new during the year."""
    if place >= 1 - launch_share:
        return LAUNCH
    if place >= 1 - 2 * launch_share:
        return START + chance.random() * YEAR
    age = chance.random() * 2 / 3 * member.lifetime(START)
    member.store(START - age, f"{chance.getrandbits(128):x}")
    return START


def _member(number: int, domain: int, secret: Secret, chance: random.Random) -> Member:
    draw, profile = chance.random(), "classic"
    for name, share in _MIX:
        if draw < share:
            profile = name
            break
        draw -= share
    suffix = ("com", "co.uk", "de")[domain % 3]
    certificate = Certificate(
        namespace="default",
        name=f"site-{number:06}",
        secret_name=f"site-{number:06}",
        issuer_ref=_REF,
        dns_names=(f"site-{number:06}.d{domain}.{suffix}",),
        private_key=_KEY,
    )
    dies = START + chance.random() * YEAR if chance.random() < DEAD_SHARE else _NEVER
    return Member(certificate=certificate, secret=secret, profile=profile, domain=domain, dies=dies)


def _secret() -> Secret:
    """One for all: only its key and its annotations are read, and the leaf is the member's."""
    leaf = chain.Leaf(
        serial="1",
        not_before=0.0,
        not_after=0.0,
        dns_names=(),
        ip_addresses=(),
        uris=(),
        email_addresses=(),
        common_name="",
        subject=Subject(),
        public_key="",
        issuer_common_name="bench",
    )
    certificate = Certificate(namespace="default", name="any", secret_name="any", issuer_ref=_REF)
    return Secret(
        namespace="default",
        name="any",
        type=TLS_TYPE,
        data={TLS_CERTIFICATE: b"the leaf is known", TLS_PRIVATE_KEY: keys.generate(_KEY)},
        annotations=annotations_of(certificate, leaf, _REF),
    )
