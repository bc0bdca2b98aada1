"""A minimal client that prepares an API server for tests: JSON requests, CRD manifests, tokens of service
accounts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import urllib3

from compose.servers import ServerFailed
from compose.yaml_loader import load_documents

Json: TypeAlias = dict[str, Any]

_TIMEOUT_SECONDS = 30.0
_ESTABLISHED_SECONDS = 60.0
_POLL_SECONDS = 0.05
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The response of the API server: HTTP status and parsed body."""

    status: int
    body: Json

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The `message` of a Status object, as kubectl shows it; "" if the body has none."""
        return str(self.body.get("message", ""))


class KubernetesApi:
    """Sends requests to one API server as one user."""

    def __init__(
        self, *, url: str, ca_file: Path, token: str, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._url, self._token = url, token
        # Connections are kept: a new one costs both sides more CPU than a request.
        self._connections = urllib3.PoolManager(
            ca_certs=str(ca_file), timeout=timeout_seconds, retries=False, maxsize=8
        )

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """Send one request. Returns the answer also for an error status. Raises OSError if there is no
        answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept, "Content-Type": content_type}
        data = json.dumps(body).encode() if body is not None else None
        try:
            response = self._connections.request(method, f"{self._url}{path}", body=data, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"{self._url} does not answer: {error}") from error
        return _answer(response.status, response.data)

    def is_ready(self) -> bool:
        """Whether /readyz reports ready. If it does not, the server's log says why."""
        try:
            return self.request("GET", "/readyz").is_ok
        except OSError:
            return False

    def apply(self, path: str, body: Mapping[str, object]) -> Json:
        """Apply an object with server-side apply. It takes fields over from other field managers (force).
        Raises ServerFailed, OSError."""
        answer = self.request(
            "PATCH",
            f"{path}?fieldManager=tests&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )
        return _required(answer, path).body

    def install_crds(self, files: Iterable[Path]) -> None:
        """Apply the CustomResourceDefinitions in these files. Returns when the API server serves them.

        Raises ServerFailed, also if one is not served after _ESTABLISHED_SECONDS; OSError.
        """
        documents = [document for file in files for document in load_documents(file.read_text()) if document]
        for document in documents:
            self.apply(f"{_CRDS}/{document['metadata']['name']}", document)
        deadline = time.monotonic() + _ESTABLISHED_SECONDS
        for document in documents:
            while not self._is_served(document):
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"{document['metadata']['name']} is not served after {_ESTABLISHED_SECONDS:g} s"
                    )
                time.sleep(_POLL_SECONDS)

    def request_token(self, namespace: str, name: str, *, seconds: int) -> str:
        """A token of a service account, valid for `seconds`. Creates the service account and its namespace if
        they do not exist.

        Raises ServerFailed, OSError.
        """
        self._create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._create(accounts, {"metadata": {"name": name}})
        path = f"{accounts}/{name}/token"
        token = _required(self.request("POST", path, {"spec": {"expirationSeconds": seconds}}), path).body[
            "status"
        ]["token"]
        return str(token)

    def _create(self, path: str, body: Json) -> None:
        answer = self.request("POST", path, body)
        if answer.status != _CONFLICT:
            _required(answer, path)

    def _is_served(self, document: Json) -> bool:
        crd = self.request("GET", f"{_CRDS}/{document['metadata']['name']}").body
        conditions = crd.get("status", {}).get("conditions") or ()  # null at first
        spec = document["spec"]
        served = all(
            self.request(
                "GET", f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}?limit=1"
            ).is_ok
            for version in spec["versions"]
        )
        return served and any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _answer(status: int, content: bytes) -> Answer:
    try:
        body = json.loads(content)
    except ValueError:
        body = {"message": content.decode(errors="replace")}
    return Answer(status=status, body=body)


def _required(answer: Answer, path: str) -> Answer:
    if not answer.is_ok:
        raise ServerFailed(f"{path}: {answer.status} {answer.message}")
    return answer
