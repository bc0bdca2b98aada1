"""One HTTP request to the API server: time-outs, size caps, the service account's token, and errors
(`answers`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from certmill.errors import HomeUnavailable
from certmill.kube import answers
from certmill.kube.objects import JsonObject
from certmill.version import __version__

CONNECT_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`what` completes the message "cannot …" of an error."""

    method: str
    path: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"


class Exchange:
    """Sends requests to one API server. Safe from many threads. Raises HomeUnavailable and Forbidden."""

    def __init__(self, api: ApiClient, *, max_answer_bytes: int) -> None:
        self._configuration: Any = api.configuration
        self._host = str(api.configuration.host).rstrip("/")
        self._pools: urllib3.PoolManager = api.rest_client.pool_manager
        self._max_answer_bytes = max_answer_bytes

    def found(self, request: Request) -> JsonObject | None:
        """The body of the answer, or None for 404."""
        try:
            return self.json(request)
        except answers.Missing:
            return None

    def json(self, request: Request) -> JsonObject:
        """The answer's body. An API server that has just started has not loaded RBAC yet and refuses every
        request. So after a 403 the request is sent again when the server is ready; a second 403 is final."""
        response, content = self._ask(request)
        if response.status == HTTPStatus.FORBIDDEN and not answers.is_terminating(answers.status_of(content)):
            self._require_ready(request, content)
            response, content = self._ask(request)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise answers.error_of(
                response.status, answers.status_of(content), response.headers, request.what
            )
        return answers.parsed(content, request.what)

    def _require_ready(self, request: Request, content: bytes) -> None:
        readiness, _ = self._ask(Request(method="GET", path="/readyz", what=request.what, accept="*/*"))
        if readiness.status == HTTPStatus.FORBIDDEN or readiness.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            words = answers.message_of(answers.status_of(content))
            raise HomeUnavailable(
                f"cannot {request.what}: the API server does not say that it is ready, and refuses us: "
                f"{words}"
            )

    def read(self, response: urllib3.BaseHTTPResponse, what: str) -> bytes:
        """The body. Raises TooLarge, HomeUnavailable."""
        return answers.read(response, what, limit=self._max_answer_bytes)

    def _ask(self, request: Request) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        response = self.send(request, seconds=REQUEST_SECONDS)
        return response, self.read(response, request.what)

    def send(self, request: Request, *, seconds: float) -> urllib3.BaseHTTPResponse:
        """The answer, whose body is still to be read (`read`), within `seconds` between two reads."""
        headers = {
            "Accept": request.accept,
            "User-Agent": f"certmill/{__version__}",
            **self._credentials(request.what),
        }
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        asked = {name: value for name, value in request.query.items() if value}
        url = f"{self._host}{request.path}{'?' + urlencode(asked) if asked else ''}"
        content = (
            json.dumps(request.body, separators=(",", ":")).encode() if request.body is not None else None
        )
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds)
        try:
            return self._pools.request(
                request.method,
                url,
                body=content,
                headers=headers,
                timeout=timeout,
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            raise HomeUnavailable(
                f"the API server does not answer: cannot {request.what} ({type(error).__name__})"
            ) from error

    def _credentials(self, what: str) -> dict[str, str]:
        """The Authorization header. The token is read again regularly (kube.connection)."""
        try:
            token = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except (ConfigException, OSError) as error:
            raise HomeUnavailable(
                f"cannot {what}: the token of the service account cannot be read ({type(error).__name__})"
            ) from None
        return {"Authorization": token} if token else {}
