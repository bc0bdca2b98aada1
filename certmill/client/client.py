"""Sends requests for certificates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from certmill import contract
from certmill.client.handle import Handle, Status
from certmill.clock import Clock, SystemClock
from certmill.errors import InvalidManifest, StateUnavailable
from certmill.model.names import CertificateId, certificate_id

if TYPE_CHECKING:  # the import of Redis' client takes half a second; it happens at connect
    import redis

    from certmill.client.answers import Answers


class SendTask(Protocol):
    """The shape of `Celery.send_task`."""

    def __call__(
        self, name: str, *, args: Sequence[object], queue: str, task_id: str, argsrepr: str, **options: Any
    ) -> object: ...


class Client:
    """Sends requests for certificates to certmill."""

    def __init__(
        self, send: SendTask, *, state: redis.Redis | None = None, clock: Clock | None = None
    ) -> None:
        """`send`: your Celery app's `send_task`. `state`: a Redis client (decode_responses=True) for
        `Handle.status`; without it requests can only be sent."""
        self._send = send
        self._clock = clock or SystemClock()
        self._state = state
        self._answers: Answers | None = None
        if state is not None:
            from certmill.client.answers import Answers

            self._answers = Answers(state, self._clock)

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

    def _status(self, request_id: str) -> Status:
        if self._answers is None:
            raise StateUnavailable(
                "this client can only send: give it a Redis client, or use Client.connect, to follow a "
                "request"
            )
        return self._answers.status(request_id)


def _refuse_text(names: Sequence[str], argument: str, path: str) -> None:
    """Reject a string where a list is needed: Python would take each of its letters as a name."""
    if isinstance(names, str):
        raise InvalidManifest(f"must be a list of names: write {argument}=[{names[:80]!r}]", path=path)


def _check(body: contract.RequestBody) -> None:
    """Reject a request that is not valid, with the path of the field, before anything is sent."""
    from certmill.model.manifests.parse import parse_request

    parse_request(body)
