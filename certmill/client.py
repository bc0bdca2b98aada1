"""For other services: ask for a certificate, and follow what becomes of it. Needs no Celery; who has an app passes its `send_task`.

    handle = Client.connect("redis://…").request(name="web", dns_names=["web.example.com"], issuer="prod")
    handle.wait(timeout=300)

What is sent is one Celery message (protocol 2, JSON) on the queue `certmill.requests`; `certmill.contract` documents it for other
languages. A Redis user that may only enqueue can send requests; to follow them it also needs to read `certmill:certificate:*` and
`certmill:request:*` (README, ACL).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from certmill import contract
from certmill.clock import Clock, SystemClock
from certmill.errors import InvalidManifest, Permanent, StateUnavailable, Temporary
from certmill.model.names import CertificateId, certificate_id

if TYPE_CHECKING:  # a service that imports the client pays for Redis' client, half a second, when it connects
    import redis

    from certmill.state.records import Record, Records
    from certmill.state.requests import Acceptance, Requests

POLL_SECONDS = 0.1

ASK_AGAIN_SECONDS = 30.0
"""A request that nobody has taken after so long may be lost (a worker died with it in hand): wait() sends it again, under the same id."""


class SendTask(Protocol):
    """The shape of `Celery.send_task`."""

    def __call__(self, name: str, *, args: Sequence[object], queue: str, task_id: str, argsrepr: str, **options: Any) -> object: ...


class RequestRejected(Permanent):
    """The request was refused by the worker; the message says why and names the field."""


class IssuanceFailed(Permanent):
    """The run that this request began ended without a certificate; the message says why."""


class StillWaiting(Temporary):
    """The time-out of `wait` passed first; the run goes on, and the message says what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What became of a request so far.

    `phase`: queued, issuing, waiting (see `reason`, `next_at`), issued, failed (`next_at`: the next attempt), rejected. Times in seconds
    since the epoch.
    """

    phase: str
    step: str = ""
    reason: str = ""
    next_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.phase in ("issued", "failed", "rejected")


class Handle:
    """A request that was sent."""

    def __init__(
        self,
        request_id: str,
        certificate: CertificateId,
        read: Callable[[str, CertificateId], Status],
        clock: Clock,
        send_again: Callable[[], None] | None = None,
    ) -> None:
        self.id = request_id
        self.certificate = certificate
        self._read = read
        self._clock = clock
        self._send_again = send_again

    def status(self) -> Status:
        """Look now. Raises StateUnavailable when Redis is away, or this user may not read."""
        return self._read(self.id, self.certificate)

    def wait(self, timeout: float = 300.0) -> Status:
        """Wait until it is issued, at most `timeout` seconds. Raises RequestRejected, IssuanceFailed, StillWaiting."""
        ends = self._clock.now() + timeout
        ask_again = self._clock.now() + ASK_AGAIN_SECONDS
        while True:
            status = self.status()
            if status.phase == "issued":
                return status
            if status.phase == "rejected":
                raise RequestRejected(f"{self.certificate}: {status.reason}")
            if status.phase == "failed":
                raise IssuanceFailed(f"{self.certificate}: {status.reason}")
            if self._clock.now() >= ends:
                raise StillWaiting(f"{self.certificate} is not issued after {timeout:g} s: {status.reason or status.step or status.phase}")
            if status.phase == "queued" and self._send_again is not None and self._clock.now() >= ask_again:
                self._send_again()
                ask_again = self._clock.now() + ASK_AGAIN_SECONDS
            self._clock.pause(POLL_SECONDS)


class Client:
    """Asks certmill for certificates."""

    def __init__(self, send: SendTask, *, state: redis.Redis | None = None, clock: Clock | None = None) -> None:
        """`send`: your Celery app's `send_task`. `state`: a Redis client (decode_responses=True) for `Handle.status`; without it requests
        can only be sent."""
        self._send = send
        self._records: Records | None = None
        self._requests: Requests | None = None
        self._state = state
        if state is not None:
            from certmill.state.records import Records
            from certmill.state.requests import Requests

            self._records, self._requests = Records(state), Requests(state)
        self._clock = clock or SystemClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Redis. Handles can look no longer."""
        if self._state is not None:
            self._state.close()

    @classmethod
    def connect(cls, url: str, *, ca_file: Path | None = None) -> Client:
        """A client on Redis itself: no Celery needed. Nothing is sent yet."""
        from certmill.state.connection import connect
        from certmill.state.sender import RedisSender

        client = connect(url, ca_file=ca_file, max_connections=8)
        return cls(RedisSender(client), state=client)

    def request(
        self,
        *,
        name: str,
        issuer: str,
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[str] = (),
        issuer_kind: str | None = None,
        namespace: str = "default",
        secret_name: str | None = None,
        private_key: Mapping[str, object] | None = None,
        **spec: object,
    ) -> Handle:
        """Ask for a certificate, or for a change of one. `spec`: further fields of a cert-manager Certificate's spec, in its own spelling.

        Without `issuer_kind`: the namespace's Issuer of that name, else the ClusterIssuer. Raises InvalidManifest with the path of a
        wrong field.
        """
        _refuse_text(dns_names, "dns_names", "spec.dnsNames")
        _refuse_text(ip_addresses, "ip_addresses", "spec.ipAddresses")
        ref = {"name": issuer} | ({"kind": issuer_kind} if issuer_kind else {})
        wanted: dict[str, object] = {"secretName": secret_name or name, "issuerRef": ref, **spec}
        if dns_names:
            wanted["dnsNames"] = list(dns_names)
        if ip_addresses:
            wanted["ipAddresses"] = list(ip_addresses)
        if private_key:
            wanted["privateKey"] = dict(private_key)
        body: contract.RequestBody = {"name": name, "namespace": namespace, "spec": wanted}
        _check(body)
        return self._ask(contract.REQUEST_TASK, body, certificate_id(namespace, name))

    def renew(self, name: str, *, namespace: str = "default") -> Handle:
        """Ask for a certificate to be issued again now."""
        body: contract.RenewBody = {"name": name, "namespace": namespace}
        return self._ask(contract.RENEW_TASK, body, certificate_id(namespace, name))

    def handle(self, request_id: str, certificate: str) -> Handle:
        """The handle of a request that was sent earlier, perhaps by another process."""
        return Handle(request_id, CertificateId(certificate), self._status, self._clock)

    def _ask(self, task: str, body: contract.RequestBody | contract.RenewBody, certificate: CertificateId) -> Handle:
        request_id = str(uuid.uuid4())
        if len(json.dumps(body)) > contract.MAX_MESSAGE_BYTES // 2:
            raise InvalidManifest("the request is too large; ask for fewer names", path="spec")

        def send() -> None:
            self._send(task, args=(body,), queue=contract.REQUESTS_QUEUE, task_id=request_id, argsrepr=f"('{certificate}',)")

        send()
        return Handle(request_id, certificate, self._status, self._clock, send)

    def _status(self, request_id: str, certificate: CertificateId) -> Status:
        if self._requests is None or self._records is None:
            raise StateUnavailable("this client can only send: give it a Redis client, or use Client.connect, to follow a request")
        from certmill.state.requests import Rejection

        found = self._requests.find(request_id)
        if found is None:
            return Status(phase="queued")
        if isinstance(found, Rejection):
            return Status(phase="rejected", reason=found.reason)
        return _status(found, self._records.read(found.certificate))


def _status(accepted: Acceptance, record: Record | None) -> Status:
    """The status of an accepted request, from its certificate's record. Pure."""
    if accepted.run == 0:
        return Status(phase="issued")
    if record is None:
        return Status(phase="failed", reason="the Certificate was deleted")
    if record.done >= accepted.run:
        if record.result == "issued":
            return Status(phase="issued")
        return Status(phase="failed", reason=record.result, next_at=record.due or None)
    waiting = bool(record.reason)
    return Status(
        phase="waiting" if waiting else "issuing", step=record.step, reason=record.reason, next_at=record.due or None if waiting else None
    )


def _refuse_text(names: Sequence[str], argument: str, path: str) -> None:
    """A text is a sequence of its letters, each of them a name."""
    if isinstance(names, str):
        raise InvalidManifest(f"must be a list of names: write {argument}=[{names[:80]!r}]", path=path)


def _check(body: contract.RequestBody) -> None:
    """Refuse a bad request here, with the path of the field, before anything is sent."""
    from certmill.model.manifests import parse_request

    parse_request(body)


__all__ = ["Client", "Handle", "IssuanceFailed", "RequestRejected", "SendTask", "Status", "StillWaiting"]
