"""The Python client for other services: it requests certificates and follows the requests. It does not need
Celery; an application that uses Celery can pass its app's `send_task`.

    handle = Client.connect("redis://…").request(name="web", dns_names=["web.example.com"], issuer="prod")
    handle.wait(timeout=300)

A request is one Celery message (protocol 2, JSON) on the queue `certmill.requests`; `certmill.contract`
documents it for other languages. A Redis user that may only enqueue can send requests. To follow them, it
must also be allowed to read `certmill:certificate:*` and `certmill:request:*` (docs/producers.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from certmill import contract
from certmill.clock import Clock, SystemClock
from certmill.errors import InvalidManifest, Permanent, StateUnavailable, Temporary
from certmill.model.names import CertificateId, certificate_id
from certmill.model.status import NO_WORKER

if TYPE_CHECKING:  # the import of Redis' client takes half a second; it happens at connect
    import redis

    from certmill.state.record import Record
    from certmill.state.records import Records
    from certmill.state.requests import Acceptance, Requests

SHORTEST_POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.2
_POLLS_PER_TIME_WAITED = 10

UNKNOWN_SECONDS = 10.0
"""Seconds for which a request may be neither in the queue nor answered: a worker is handling it."""

UNKNOWN_POLL_SECONDS = 1.0

_TAKEN_UP_WITHIN_SECONDS = 2.0
_UNKNOWN_ADVICE = "it was lost (send it again), it ended more than three days ago, or the id is wrong"

ASK_AGAIN_SECONDS = 30.0
"""Seconds. A request that no worker has taken by then may be lost (a worker died while it handled it): wait()
sends it again, with the same id."""


class SendTask(Protocol):
    """The shape of `Celery.send_task`."""

    def __call__(
        self, name: str, *, args: Sequence[object], queue: str, task_id: str, argsrepr: str, **options: Any
    ) -> object: ...


class RequestRejected(Permanent):
    """A worker rejected the request; the message says why and names the field."""


class RequestUnknown(Permanent):
    """The request is unknown: it was lost, it ended more than three days ago, or its id is wrong."""


class IssuanceFailed(Permanent):
    """The run of this request ended without a certificate; the message says why."""


class StillWaiting(Temporary):
    """The time-out of `wait` ended before the run. The run continues; the message says what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a request.

    `phase`: queued, issuing, waiting (see `reason`, `next_at`), issued, failed (`next_at`: the next attempt),
    rejected, unknown (see `reason`). Times are in seconds since the epoch."""

    phase: str
    step: str = ""
    reason: str = ""
    next_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.phase in ("issued", "failed", "rejected")

    @property
    def line(self) -> str:
        """The state in one line, for a message."""
        return self.reason or (NO_WORKER if self.phase == "queued" else self.step or self.phase)


class Handle:
    """A request that was sent, to read its status or wait for its end."""

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
        self._ask_again_at = clock.now() + ASK_AGAIN_SECONDS

    def status(self) -> Status:
        """The status now. Raises StateUnavailable if Redis is not available, or if this user may not read."""
        return self._read(self.id, self.certificate)

    def wait(self, timeout: float = 300.0) -> Status:
        """Wait until the certificate is issued, at most `timeout` seconds. Raises RequestRejected,
        IssuanceFailed, StillWaiting, RequestUnknown, and the errors of `status`."""
        began = self._clock.now()
        ends, unknown_until = began + timeout, began + UNKNOWN_SECONDS
        while True:
            status = self.status()
            if status.phase == "issued":
                return status
            if status.phase == "rejected":
                raise RequestRejected(f"{self.certificate}: {status.reason}")
            if status.phase == "failed":
                raise IssuanceFailed(f"{self.certificate}: {status.reason}")
            if self._clock.now() >= ends:
                raise StillWaiting(f"{self.certificate} is not issued after {timeout:g} s: {status.line}")
            if status.phase != "unknown":
                unknown_until = self._clock.now() + UNKNOWN_SECONDS
            elif self._send_again is None and self._clock.now() >= unknown_until:
                raise RequestUnknown(f"{self.certificate}: {status.reason}")
            self.ask_again(status)
            is_unknown = status.phase == "unknown"
            self._clock.pause(UNKNOWN_POLL_SECONDS if is_unknown else _poll_pause(self._clock.now() - began))

    def ask_again(self, status: Status) -> None:
        """Send the request again, with the same id, if this client sent it and no worker has taken it for
        ASK_AGAIN_SECONDS."""
        if (
            status.phase in ("queued", "unknown")
            and self._send_again is not None
            and self._clock.now() >= self._ask_again_at
        ):
            self._send_again()
            self._ask_again_at = self._clock.now() + ASK_AGAIN_SECONDS


class Client:
    """Sends requests for certificates to certmill."""

    def __init__(
        self, send: SendTask, *, state: redis.Redis | None = None, clock: Clock | None = None
    ) -> None:
        """`send`: your Celery app's `send_task`. `state`: a Redis client (decode_responses=True) for
        `Handle.status`; without it requests can only be sent."""
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
        """Close the connections to Redis. After that, handles cannot read a status."""
        if self._state is not None:
            self._state.close()

    @classmethod
    def connect(cls, url: str, *, ca_file: Path | None = None) -> Client:
        """A client that uses Redis directly, without Celery. It sends nothing yet."""
        from certmill.state.sender import RedisSender
        from certmill.state.server.connection import connect

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
        """Request a certificate, or a change of one. `spec`: further fields of a cert-manager Certificate's
        spec, with the names that they have there.

        Without `issuer_kind`, the issuer is the namespace's Issuer of that name, otherwise the ClusterIssuer.
        Raises InvalidManifest with the path of the wrong field."""
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
        """Request that a certificate is issued again now."""
        body: contract.RenewBody = {"name": name, "namespace": namespace}
        return self._ask(contract.RENEW_TASK, body, certificate_id(namespace, name))

    def handle(self, request_id: str, certificate: str) -> Handle:
        """The handle of a request that was sent earlier, also by another process."""
        return Handle(request_id, CertificateId(certificate), self._status, self._clock)

    def _ask(
        self, task: str, body: contract.RequestBody | contract.RenewBody, certificate: CertificateId
    ) -> Handle:
        request_id = contract.new_request_id(self._clock.now())
        if len(json.dumps(body)) > contract.MAX_MESSAGE_BYTES // 2:
            raise InvalidManifest("the request is too large; ask for fewer names", path="spec")

        def send() -> None:
            self._send(
                task,
                args=(body,),
                queue=contract.REQUESTS_QUEUE,
                task_id=request_id,
                argsrepr=f"('{certificate}',)",
            )

        send()
        return Handle(request_id, certificate, self._status, self._clock, send)

    def _status(self, request_id: str, certificate: CertificateId) -> Status:
        if self._requests is None or self._records is None:
            raise StateUnavailable(
                "this client can only send: give it a Redis client, or use Client.connect, to follow a "
                "request"
            )
        from certmill.state.requests import Rejection

        found, now = self._requests.find(request_id), self._clock.now()
        if found is None:
            return self._unanswered(request_id, now)
        if isinstance(found, Rejection):
            return Status(phase="rejected", reason=found.reason)
        return _status(found, self._records.read(found.certificate), now)

    def _unanswered(self, request_id: str, now: float) -> Status:
        """The status of a request without an answer: queued (this includes a request that a worker is
        handling), or unknown (it was lost, it is days old, or it never existed)."""
        assert self._requests is not None
        sent = contract.sent_at(request_id)
        if (sent is not None and now < sent + UNKNOWN_SECONDS) or self._requests.is_queued(
            request_id
        ) is not False:
            return Status(phase="queued")
        return Status(
            phase="unknown", reason=f"nothing knows of the request {request_id[:64]}: {_UNKNOWN_ADVICE}"
        )


def _status(accepted: Acceptance, record: Record | None, now: float) -> Status:
    """The status of an accepted request, derived from its Certificate's record. Pure."""
    if accepted.run == 0:
        return Status(phase="issued")
    if record is None:
        return Status(phase="failed", reason="the Certificate was deleted")
    if record.done >= accepted.run:
        if record.result == "issued":
            return Status(phase="issued")
        return Status(phase="failed", reason=record.result, next_at=record.due or None)
    if record.reason:
        return Status(phase="waiting", step=record.step, reason=record.reason, next_at=record.due or None)
    is_taken_up = record.attempts or record.lease > now or now < record.since + _TAKEN_UP_WITHIN_SECONDS
    return Status(phase="issuing", step=record.step, reason="" if is_taken_up else NO_WORKER)


def _poll_pause(waited: float) -> float:
    """Seconds until the next poll, when a caller has waited for `waited` seconds: a tenth of them, so that a
    quick run is noticed quickly, and a slow one is not polled often. Pure."""
    return min(max(waited / _POLLS_PER_TIME_WAITED, SHORTEST_POLL_SECONDS), LONGEST_POLL_SECONDS)


def _refuse_text(names: Sequence[str], argument: str, path: str) -> None:
    """Reject a string where a list is needed: Python would take each of its letters as a name."""
    if isinstance(names, str):
        raise InvalidManifest(f"must be a list of names: write {argument}=[{names[:80]!r}]", path=path)


def _check(body: contract.RequestBody) -> None:
    """Reject a request that is not valid, with the path of the field, before anything is sent."""
    from certmill.model.manifests.parse import parse_request

    parse_request(body)


__all__ = [
    "Client",
    "Handle",
    "IssuanceFailed",
    "RequestRejected",
    "RequestUnknown",
    "SendTask",
    "Status",
    "StillWaiting",
]
