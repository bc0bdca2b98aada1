"""Every setting, with its unit, its default and its reason. Each is read from the environment variable
CERTMILL_<NAME>, secrets also from the file that CERTMILL_<NAME>_FILE names. An argument of `load()` comes
before the variable, and the variable before the file. An empty variable counts as not set. `python -m
compose.reference` writes docs/settings.md and compose/env.example from this file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, field_validator

from certmill.errors import InvalidManifest
from certmill.model.spelling import did_you_mean

_SECRETS = ("redis_url", "seal_keys", "flower_password")
_MAX_SECRET_FILE_BYTES = 65_536

EMBEDDED_URL_FILE = Path("valkey") / "url"
"""In the home: where the embedded Valkey of `python -m workers up` answers. Read when no URL is set, so that
other commands find it."""


class Settings(BaseModel):
    """Settings of every certmill process. Build one with `load()`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    home: Path = Path("certmill-home")
    """The directory home: manifests/, secrets/, status/."""

    home_kind: str = Field(default="directory", pattern="^(directory|kubernetes)$")
    """Where manifests, Secrets and status are: `directory` (CERTMILL_HOME), or `kubernetes` (the API
    server's)."""

    kubeconfig: Path | None = None
    """The kubeconfig file for the API server, outside a Pod. None: the Pod's service account, else
    $KUBECONFIG or ~/.kube/config."""

    namespace: str = "cert-manager"
    """certmill's own namespace in a cluster: of the controller's Lease and of the responder's Service."""

    lease_name: str = "certmill-controller"
    """The Lease in that namespace by which one controller of several leads; the chart names it by the
    release."""

    lease_seconds: float = Field(default=15.0, ge=1.0)
    """How long another controller waits for the leader's next renewal of that Lease before it leads itself.
    The leader renews three times in this time."""

    resync_seconds: float = Field(default=30.0, ge=1.0)
    """How often the controller requests again what is not finished, in case a request was lost."""

    responder_service: str = "certmill-responder"
    """The responder's Service in that namespace: challenges are routed to its addresses."""

    default_issuer_name: str | None = None
    """The issuer of an Ingress with kubernetes.io/tls-acme that names none. None: it gets no certificate."""

    default_issuer_kind: str = Field(default="Issuer", pattern="^(Issuer|ClusterIssuer)$")
    """The kind of that issuer."""

    watched_namespaces: tuple[str, ...] = ()
    """The namespaces that the controller watches, comma separated. certmill then needs rights only in these,
    in its own, in the cluster resource namespace, and in default (events of ClusterIssuers). None: all."""

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis or Valkey for work in flight, and the broker. `rediss://` verifies the server (with
    CERTMILL_REDIS_CA_FILE, else the system's roots). If it is not set: REDIS_URL, else the file `valkey/url`
    in the home (of the embedded Valkey)."""

    redis_ca_file: Path | None = None
    """PEM roots for `rediss://`."""

    seal_keys: tuple[SecretStr, ...] = ()
    """Base64 AES-256 keys, comma separated, that encrypt private keys in Redis: the first encrypts, all
    decrypt (rotation). None: one is made and kept in the home."""

    cluster_resource_namespace: str = "cert-manager"
    """Where ClusterIssuers' Secrets are; cert-manager's chart has the same default."""

    secrets_field_manager: str = Field(default="certmill", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    """Field manager (server-side apply) of Secrets with issued pairs. `cert-manager-certificates-issuing` is
    cert-manager's, for tools that look for it; whichever of the two wrote a Secret, the other takes it
    over."""

    cloudflare_api_url: str = "https://api.cloudflare.com/client/v4"
    """Cloudflare's API; another address for a proxy or a test."""

    recursive_nameservers: tuple[str, ...] = ()
    """host:port, comma separated, for zone and CNAME look-ups and self checks. None: the system's."""

    authoritative_port: int = 53
    """Port on which authoritative servers are asked; only tests need another."""

    http01_port: int = 80
    """Port of the self check's request (RFC 8555 §8.3: 80); another one only for a test CA."""

    http01_tls_port: int = 443
    """Port to which the self check follows a redirect to https, beside 443; others only for a test CA."""

    responder_host: str = "127.0.0.1"
    """Where the HTTP-01 responder listens. Put it behind the server that faces the CA."""

    responder_port: int = Field(default=8089, ge=0, le=65535)
    """Port of the HTTP-01 responder: that of cert-manager's acmesolver, so that rules for it still fit."""

    responder_shared_hosts: tuple[str, ...] = ()
    """Hosts under which the HTTP-01 responder answers the tokens of all names, comma separated: the target of
    redirects, or what a proxy sends as Host instead of the name. None: each token is answered under its own
    name only."""

    step_lease_seconds: float = Field(default=60.0, ge=1.0)
    """How long a worker may work at a step without a sign of life before the step is published again; longer
    than the time-outs of any single request."""

    step_grace_seconds: float = Field(default=10.0, ge=0.5)
    """How long a published step may wait for a worker before it is published again."""

    max_step_attempts: int = Field(default=10, ge=2)
    """A step that was begun so often without an end is parked, because it kills its worker."""

    propagation_timeout_seconds: float = Field(default=600.0, ge=1.0)
    """How long the name servers may take to show a TXT value before the run fails with that reason."""

    validation_timeout_seconds: float = Field(default=300.0, ge=1.0)
    """How long the CA may take to validate, and to issue, before the run fails with that reason."""

    acme_timeout_seconds: float = Field(default=30.0, ge=1.0)
    """Time-out of one request to the CA; some CAs need long to finalize."""

    high_water: int = Field(default=1000, ge=10)
    """While more steps than this wait in the queue, no new run is begun: runs under way come first."""

    worker_concurrency: int = Field(default=32, ge=2)
    """Threads of one worker process."""

    renewal_jitter_seconds: float = Field(default=3600.0, ge=0.0)
    """Renewals are spread over this time (at most a hundredth of the lifetime)."""

    fallback_after_seconds: float = Field(default=300.0, ge=1.0)
    """How long a run waits for a CA that does not answer before it may use an issuer of the annotation
    certmill.io/fallback-issuers. At most a hundredth of the lifetime of the stored certificate."""

    flower_address: str = "127.0.0.1"
    """Where Flower listens."""

    flower_port: int = 5555
    """Flower's port."""

    flower_user: str = "certmill"
    """Flower's login."""

    flower_password: SecretStr | None = None
    """Flower's password. None: one is made and kept in the home (`flower-password`, 0600)."""

    admin_host: str = "127.0.0.1"
    """Where each process listens for `/metrics`, `/livez` and `/readyz`. Names of certificates are in its
    answers: loopback by default."""

    admin_port: int = Field(default=9402, ge=0, le=65535)
    """The admin port of a process; if it is taken, the next free one, because several processes of one
    machine have the same setting. 0: none. `python -m workers up` gives its processes this port and those
    after it."""

    certificate_metrics: bool = True
    """Whether `/metrics` has the gauges of each certificate and issuer (expiry, renewal, readiness): seven
    lines for each certificate."""

    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")
    """`json`, `console`, or `auto`: console on a terminal."""

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """The least level that is logged: DEBUG, INFO, WARNING, ERROR."""

    _redis_url_file: Path | None = PrivateAttr(default=None)

    @property
    def redis_url_file(self) -> Path | None:
        """The file that `redis_url` was read from, if it was: its password may be changed while we run."""
        return self._redis_url_file

    def note_redis_url_file(self, file: Path) -> None:
        """`redis_url` was read from this file."""
        self._redis_url_file = file

    @field_validator(
        "seal_keys", "recursive_nameservers", "watched_namespaces", "responder_shared_hosts", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )


_NOT_SETTINGS = ("CERTMILL_PROCESS", "CERTMILL_PROCESS_READY_FILE")
"""What `python -m workers up` tells its children."""
_OF_A_SERVICE = re.compile(r"_SERVICE_HOST|_SERVICE_PORT|_PORT_[0-9]+_(TCP|UDP|SCTP)|_PORT$")
"""In the variables that Kubernetes makes of each Service (`enableServiceLinks`), of ours too:
`certmill-responder` is one."""


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each CERTMILL_… variable that is no setting: it may be mistyped, and then its setting has
    its default."""
    known = {f"CERTMILL_{name.upper()}" for name in Settings.model_fields}
    known |= {f"CERTMILL_{name.upper()}_FILE" for name in _SECRETS}
    wrong = (
        name
        for name in sorted(environment)
        if name.startswith("CERTMILL_") and name not in {*known, *_NOT_SETTINGS}
    )
    return [
        f"{name} is not a setting{did_you_mean(name, known)}"
        for name in wrong
        if not _is_of_a_service(name, environment)
    ]


def _is_of_a_service(name: str, environment: Mapping[str, str]) -> bool:
    found = _OF_A_SERVICE.search(name)
    return found is not None and f"{name[: found.start()]}_SERVICE_HOST" in environment


def load(**overrides: object) -> Settings:
    """Read the settings from the environment. Raises InvalidManifest naming the variable that is wrong, never
    its value."""
    values = {**_elsewhere(set(overrides)), **overrides}
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
        embedded = settings.home / EMBEDDED_URL_FILE
        if "redis_url" not in settings.model_fields_set and embedded.is_file():
            return Settings(**{**values, "redis_url": _read_secret("redis_url", embedded)})  # type: ignore[arg-type]
    except ValidationError as error:
        raise _named(error) from None
    if (
        "redis_url" not in overrides
        and not os.environ.get("CERTMILL_REDIS_URL")
        and (file := os.environ.get("CERTMILL_REDIS_URL_FILE"))
    ):
        settings.note_redis_url_file(Path(file).absolute())
    return settings


def _elsewhere(given: set[str]) -> dict[str, object]:
    """What no argument says: from CERTMILL_<NAME>, from CERTMILL_<NAME>_FILE, and for Redis then from
    REDIS_URL."""
    variables = {
        name: os.environ.get(f"CERTMILL_{name.upper()}")
        for name in Settings.model_fields
        if name not in given
    }
    values: dict[str, object] = {name: text for name, text in variables.items() if text}
    for name in _SECRETS:
        variable = f"CERTMILL_{name.upper()}"
        if name in given or name in values:
            continue
        if file := os.environ.get(f"{variable}_FILE"):
            values[name] = _read_secret(name, Path(file))
        elif name == "redis_url" and os.environ.get("REDIS_URL"):
            values[name] = os.environ["REDIS_URL"]
    return values


def _read_secret(name: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidManifest(
            f"cannot read the file it names: {error.strerror}", path=f"CERTMILL_{name.upper()}_FILE"
        ) from error
    if len(content) > _MAX_SECRET_FILE_BYTES:
        raise InvalidManifest(
            f"the file it names is larger than {_MAX_SECRET_FILE_BYTES} bytes",
            path=f"CERTMILL_{name.upper()}_FILE",
        )
    return content.decode("utf-8", "replace").strip()


def _named(error: ValidationError) -> InvalidManifest:
    """The variable that is wrong, and what it must be, without its value."""
    first = error.errors(include_url=False, include_input=False)[0]
    must_be = _MUST_BE.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return InvalidManifest(must_be, path=f"CERTMILL_{str(first['loc'][0]).upper()}")


_MUST_BE = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "string_pattern_mismatch": "must match {pattern}",
}
