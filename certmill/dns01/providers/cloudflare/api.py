"""The client for Cloudflare's API v4. It adds or removes one TXT value in a zone that the
credentials (a token, or an e-mail address and a key) may edit.

Zone ids are cached; records are not. Cleanup searches for the value itself, so it works after a crash, and
does not remove values of others.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlencode, urlsplit

from cachetools import LRUCache

from certmill.clock import Clock
from certmill.dns01.base import TxtRecord
from certmill.errors import ProviderUnavailable, SecretUnusable, SolverMisconfigured
from certmill.http.transport import Answer, NoAnswer, TlsTrust, Transport
from certmill.version import __version__

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
# the minimum for zones that are not on the Enterprise plan; 1 would mean automatic
_MIN_TTL_SECONDS: Final = 60
_PER_PAGE: Final = 100
_MAX_PAGES: Final = 100
_MAX_KNOWN_ZONES: Final = 10_000
_NEEDED: Final = "the permissions Zone:Read and DNS:Edit"
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")

# https://developers.cloudflare.com/api/ and /fundamentals/api/troubleshooting/
_CREDENTIALS_REFUSED: Final = frozenset({6003, 6111, 9103, 9106, 9109, 10000})
_IS_THERE_ALREADY: Final = frozenset({81057, 81058})
_NO_SUCH_RECORD: Final = frozenset({81044})
_TRY_AGAIN: Final = frozenset({408, 409, 425})
_NO_SUCH_ZONE: Final = frozenset({7000, 7003})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """Cloudflare's envelope: {success, errors: [{code, message}], result, result_info}."""

    status: int
    success: bool
    codes: frozenset[int]
    result: object
    total_pages: int = 1
    retry_after: float | None = None

    def is_one_of(self, codes: frozenset[int]) -> bool:
        return bool(self.codes & codes)


class CloudflareProvider:
    """Cloudflare with one set of credentials. Safe for many threads, which share kept-alive connections."""

    def __init__(
        self,
        *,
        api_url: str,
        token: str | None,
        email: str = "",
        key: str | None = None,
        clock: Clock,
        timeout_seconds: float = 10.0,
    ) -> None:
        """`token`, or `email` and `key`. Raises SecretUnusable for a credential that is not valid in a
        header, and SolverMisconfigured for a URL without TLS."""
        url = urlsplit(api_url)
        if url.scheme != "https" and url.hostname not in _LOOPBACK:
            raise SolverMisconfigured(
                "CERTMILL_CLOUDFLARE_API_URL is not https://, and would show the credentials to everybody "
                "on the way"
            )
        self._api_url = api_url.rstrip("/")
        self._credential = "API token" if token is not None else "e-mail address and API key"
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            **_authorization(token, email, key),
        }
        self._transport = Transport(
            trust=TlsTrust(),
            timeout_seconds=timeout_seconds,
            user_agent=f"certmill/{__version__}",
            clock=clock,
        )
        self._zone_ids: LRUCache[str, str] = LRUCache(_MAX_KNOWN_ZONES)
        self._guard = threading.Lock()

    def present(self, record: TxtRecord) -> None:
        """Add one value; the TTL is at least 60 s."""
        reply = self._create(record, self._zone_id(record.zone))
        if reply.is_one_of(_NO_SUCH_ZONE):
            # The zone was removed from the account and added again since its id was read.
            self._forget(record.zone)
            reply = self._create(record, self._zone_id(record.zone))
        if not reply.is_one_of(_IS_THERE_ALREADY):
            self._raise_refusal(reply, record.zone, f"adding a TXT record at {record.name}")

    def cleanup(self, record: TxtRecord) -> None:
        """Remove every record at the name with this value (there is only one, unless a person added
        others)."""
        zone_id = self._zone_id(record.zone)
        reply, ids = self._ids(record, zone_id)
        if reply.is_one_of(_NO_SUCH_ZONE):
            self._forget(record.zone)
            zone_id = self._zone_id(record.zone)
            reply, ids = self._ids(record, zone_id)
        self._raise_refusal(reply, record.zone, f"listing the TXT records at {record.name}")
        for record_id in ids:
            gone = self._call("DELETE", f"/zones/{zone_id}/dns_records/{record_id}", record.zone)
            if gone.status != 404 and not gone.is_one_of(_NO_SUCH_RECORD):
                self._raise_refusal(gone, record.zone, f"removing a TXT record at {record.name}")

    def _create(self, record: TxtRecord, zone_id: str) -> _Reply:
        # Cloudflare requires quoted character strings (RFC 1035 §3.3). Our values contain no quote and no
        # backslash.
        body = {
            "type": "TXT",
            "name": record.name,
            "content": f'"{record.value}"',
            "ttl": max(record.ttl_seconds, _MIN_TTL_SECONDS),
        }
        return self._call("POST", f"/zones/{zone_id}/dns_records", record.zone, body=body)

    def _ids(self, record: TxtRecord, zone_id: str) -> tuple[_Reply, list[str]]:
        """Return the last reply and the ids of the records with this value. All pages are read before
        anything is removed."""
        found: list[str] = []
        page = 1
        while True:
            asked = {"type": "TXT", "name": record.name, "per_page": _PER_PAGE, "page": page}
            reply = self._call("GET", f"/zones/{zone_id}/dns_records?{urlencode(asked)}", record.zone)
            found += [_id(entry) for entry in _entries(reply) if _holds(entry, record)]
            if not reply.success or page >= min(reply.total_pages, _MAX_PAGES):
                return reply, [record_id for record_id in dict.fromkeys(found) if record_id]
            page += 1

    def _zone_id(self, zone: str) -> str:
        """Return the id of the zone, or of its nearest parent in the account: the account may have the
        records of a sub-zone without a zone for it."""
        with self._guard:
            known = self._zone_ids.get(zone)
        if known is not None:
            return known
        labels = zone.split(".")
        for start in range(max(1, len(labels) - 1)):
            found = self._look_up(".".join(labels[start:]))
            if found is not None:
                with self._guard:
                    self._zone_ids[zone] = found
                return found
        raise SolverMisconfigured(
            f"Cloudflare shows no zone {zone} to our {self._credential}: check that the zone is in the "
            "account, and that the "
            f"{self._credential} may read it ({_NEEDED})"
        )

    def _look_up(self, name: str) -> str | None:
        """Return the id of the zone with this name; None if the credentials see none."""
        reply = self._call("GET", f"/zones?{urlencode({'name': name, 'per_page': 50})}", name)
        self._raise_refusal(reply, name, f"looking for the zone {name}")
        found = [entry for entry in _entries(reply) if _text(entry, "name").lower() == name and _id(entry)]
        # The same name may be pending in one account and active in another.
        found.sort(key=lambda entry: _text(entry, "status") != "active")
        return _id(found[0]) if found else None

    def _forget(self, zone: str) -> None:
        with self._guard:
            self._zone_ids.pop(zone, None)

    def _call(self, method: str, path: str, zone: str, *, body: Mapping[str, object] | None = None) -> _Reply:
        """Send one request. Raises ProviderUnavailable when there is no answer, or none in Cloudflare's
        form."""
        content = json.dumps(body).encode() if body is not None else None
        try:
            answer = self._transport.request(
                method, f"{self._api_url}{path}", body=content, headers=self._headers
            )
        except NoAnswer as error:
            raise ProviderUnavailable(f"Cloudflare, for the zone {zone}: {error.without_advice}") from None
        return _parsed(answer, zone)

    def _raise_refusal(self, reply: _Reply, zone: str, what: str) -> None:
        """Raise the error that the reply means, unless it is a success."""
        if reply.success and reply.status < 300:
            return
        codes = ", ".join(str(code) for code in sorted(reply.codes)[:5])
        answer = f"{reply.status}, code {codes}" if codes else str(reply.status)
        if reply.status == 429:
            raise ProviderUnavailable(
                f"Cloudflare asks us to slow down (429), {what}", retry_after=reply.retry_after
            )
        if reply.status in (401, 403) or reply.is_one_of(_CREDENTIALS_REFUSED):
            raise SolverMisconfigured(
                f"Cloudflare refuses our {self._credential} ({answer}), {what}: it needs {_NEEDED} of {zone}"
            )
        if 400 <= reply.status < 500 and reply.status not in _TRY_AGAIN:
            raise SolverMisconfigured(
                f"Cloudflare refuses the request ({answer}), {what}: see the code in its API's documentation"
            )
        raise ProviderUnavailable(f"Cloudflare answers {answer}, {what}", retry_after=reply.retry_after)


def _authorization(token: str | None, email: str, key: str | None) -> dict[str, str]:
    secret, name = (token, "API token") if token is not None else (key or "", "API key")
    if (
        not secret
        or not secret.isascii()
        or any(character <= " " or character == "\x7f" for character in secret)
    ):
        raise SecretUnusable(
            f"the Cloudflare {name} is empty, or has spaces or other characters that are not valid in it; "
            "see the Secret's value"
        )
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if not email.isascii() or not email.isprintable():
        raise SolverMisconfigured(
            "the e-mail address of the Cloudflare solver has characters that are not valid in a header"
        )
    return {"X-Auth-Email": email, "X-Auth-Key": secret}


def _parsed(answer: Answer, zone: str) -> _Reply:
    """Return the envelope. The body of an error may be anything (a proxy's page). A success without an
    envelope does not count as a success."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    envelope = cast("Mapping[str, object]", body) if isinstance(body, dict) else None
    if envelope is None or not isinstance(envelope.get("success"), bool):
        if answer.status < 300:
            raise ProviderUnavailable(f"Cloudflare, for the zone {zone}: the answer is not one of its API's")
        envelope = {}
    errors, pages = envelope.get("errors"), envelope.get("result_info")
    codes = (
        [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    )
    total = pages.get("total_pages") if isinstance(pages, dict) else None
    return _Reply(
        status=answer.status,
        success=envelope.get("success") is True,
        codes=frozenset(code for code in codes if isinstance(code, int)),
        result=envelope.get("result"),
        total_pages=total if isinstance(total, int) else 1,
        retry_after=answer.retry_after,
    )


def _entries(reply: _Reply) -> Sequence[Mapping[str, object]]:
    return (
        [entry for entry in reply.result if isinstance(entry, dict)] if isinstance(reply.result, list) else []
    )


def _text(entry: Mapping[str, object], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _id(entry: Mapping[str, object]) -> str:
    """Return the id; "" if it would change the path that it is put into."""
    text = _text(entry, "id")
    return text if _ID.fullmatch(text) else ""


def _holds(entry: Mapping[str, object], record: TxtRecord) -> bool:
    """Whether it is our record. The API is asked to filter, and its filter is checked again here."""
    at = _text(entry, "type") == "TXT" and _text(entry, "name").lower() == record.name
    return at and _text(entry, "content") in (record.value, f'"{record.value}"')
