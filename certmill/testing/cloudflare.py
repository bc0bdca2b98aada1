"""Cloudflare's API v4 on loopback, for tests: zones, TXT records, tokens and keys, rate limit, paging, and
the published errors.

Its zones are served by DNS too (`dns_address`), so a CA and our own checks see a written value after
`visible_after_seconds`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Self, cast
from urllib.parse import parse_qs, urlsplit

from certmill.clock import Clock, SystemClock
from certmill.testing.cloudflare_access import Access, Permissions, RateLimit, Refused, envelope
from certmill.testing.cloudflare_server import Reply, Server
from certmill.testing.cloudflare_zones import Record, Zones
from certmill.testing.nameserver import FakeNameserver

_PREFIX: Final = "/client/v4"
_POLL_SECONDS: Final = 0.05
_TTL_SECONDS: Final = range(60, 86_401)

__all__ = ["FakeCloudflare", "Permissions", "RateLimit"]


class FakeCloudflare:
    """The API at `url` and the name server at `dns_address`; a context manager. `requests` has (method, path
    with query), in order."""

    def __init__(
        self,
        *,
        zones: Sequence[str] = ("example.test",),
        tokens: Mapping[str, Permissions] | None = None,
        keys: Mapping[str, str] | None = None,
        rate_limit: RateLimit | None = None,
        max_per_page: int = 100,
        visible_after_seconds: float = 0.0,
        dns_port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        """`tokens`: maps a secret to permissions. `keys`: maps an e-mail address to its Global API Key."""
        self.max_per_page = max_per_page
        self.visible_after_seconds = visible_after_seconds
        self.requests: list[tuple[str, str]] = []
        self._clock = clock or SystemClock()
        self.access = Access(tokens=tokens or {}, keys=keys or {}, rate_limit=rate_limit, clock=self._clock)
        self._zones = Zones(zones)
        self._prepared: deque[Reply] = deque()
        self._guard = threading.RLock()
        self._nameserver = FakeNameserver(port=dns_port, records=self._served)
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The value for CERTMILL_CLOUDFLARE_API_URL."""
        return f"http://127.0.0.1:{self._port}{_PREFIX}"

    @property
    def dns_address(self) -> str:
        """host:port of the name server."""
        return self._nameserver.address

    @property
    def dns_port(self) -> int:
        return self._nameserver.port

    def __enter__(self) -> Self:
        self._nameserver.start()
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._nameserver.stop()

    def start(self) -> None:
        """Listen, or listen again on the same port, with the records as they were."""
        self._server = Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_port
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True, name="fake-cloudflare"
        ).start()

    def stop(self) -> None:
        """Stop the API; its name server continues to run."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def records(self, name: str) -> list[str]:
        """Return the TXT values at a name, without quotes, oldest first."""
        with self._guard:
            return self._zones.values_at(name)

    def add(self, name: str, content: str, *, ttl: int = 300) -> None:
        """Add a record as another user would; `content` is stored as given, with or without quotes."""
        with self._guard:
            self._zones.add(self._zones.zone_id_for(name), name, content, ttl=ttl, now=self._clock.now())

    def move_zone(self, zone: str) -> None:
        """Remove a zone from the account and add it again: it has a new id and no records."""
        with self._guard:
            self._zones.move(zone)

    def answer_next(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Answer the next request with this, whatever the request is. A second call is for the request after
        it."""
        self._prepared.append(Reply(status=status, body=body, headers=headers or {}))

    def forget_answers(self) -> None:
        """Remove the answers of answer_next() that were not used."""
        self._prepared.clear()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the reply to a request."""
        with self._guard:
            self.requests.append((method, target))
            if self._prepared:
                return self._prepared.popleft()
            try:
                return self._route(method, target, self.access.check(headers), body)
            except Refused as refused:
                return refused.reply

    def _route(self, method: str, target: str, permissions: Permissions, body: bytes) -> Reply:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match method, url.path.removeprefix(_PREFIX).strip("/").split("/"):
            case "GET", ["zones"]:
                return self._list_zones(query, permissions)
            case "GET", ["zones", zone_id, "dns_records"]:
                return self._list_records(self._zone(zone_id, permissions), query)
            case "POST", ["zones", zone_id, "dns_records"]:
                return self._create(self._zone(zone_id, permissions), body)
            case "DELETE", ["zones", zone_id, "dns_records", record_id]:
                return self._delete(self._zone(zone_id, permissions), record_id)
            case _, ["zones", *_]:
                raise Refused(405, 10405, "Method not allowed for this authentication scheme")
        raise Refused(400, 7000, "No route for that URI")

    def _zone(self, zone_id: str, permissions: Permissions) -> str:
        """Return the id if it is a zone where the token may edit records."""
        if zone_id not in self._zones.names:
            path = f"/zones/{zone_id}/dns_records"
            raise Refused(404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?")
        if not permissions.edit_dns or not permissions.includes(self._zones.names[zone_id]):
            raise Refused(403, 10000, "Authentication error")
        return zone_id

    def _list_zones(self, query: Mapping[str, str], permissions: Permissions) -> Reply:
        if not permissions.read_zones:
            raise Refused(403, 9109, "Unauthorized to access requested resource")
        seen = [(zone_id, zone) for zone_id, zone in self._zones.names.items() if permissions.includes(zone)]
        wanted = query.get("name")
        found = [
            {"id": zone_id, "name": zone, "status": "active"}
            for zone_id, zone in seen
            if wanted in (None, zone)
        ]
        return self._page(found, query)

    def _list_records(self, zone_id: str, query: Mapping[str, str]) -> Reply:
        name, type_ = query.get("name"), query.get("type")
        here = self._zones.records_of(zone_id)
        return self._page(
            [_shown(record) for record in here if name in (None, record.name) and type_ in (None, "TXT")],
            query,
        )

    def _page(self, entries: Sequence[object], query: Mapping[str, str]) -> Reply:
        per_page, page = min(int(query.get("per_page", "20")), self.max_per_page), int(query.get("page", "1"))
        shown = entries[(page - 1) * per_page : page * per_page]
        total = len(entries)
        info = {
            "page": page,
            "per_page": per_page,
            "count": len(shown),
            "total_count": total,
            "total_pages": -(-total // per_page),
        }
        return envelope(shown, info=info)

    def _create(self, zone_id: str, body: bytes) -> Reply:
        try:
            wanted = cast("object", json.loads(body))
        except ValueError:
            raise Refused(400, 9207, "Request body is invalid.") from None
        if (
            not isinstance(wanted, dict)
            or wanted.get("type") != "TXT"
            or not all(wanted.get(name) for name in ("name", "content"))
        ):
            raise Refused(400, 1004, "DNS Validation Error")
        ttl = wanted.get("ttl", 1)
        if ttl != 1 and ttl not in _TTL_SECONDS:
            raise Refused(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
        record = self._zones.add(
            zone_id, str(wanted["name"]), str(wanted["content"]), ttl=int(ttl), now=self._clock.now()
        )
        if record is None:
            raise Refused(400, 81058, "An identical record already exists.")
        return envelope(_shown(record))

    def _delete(self, zone_id: str, record_id: str) -> Reply:
        if not self._zones.remove(zone_id, record_id):
            raise Refused(404, 81044, "Record does not exist.")
        return envelope({"id": record_id})

    def _served(self) -> dict[str, dict[str, list[str]]]:
        """Return what the name server serves."""
        with self._guard:
            return self._zones.served(made_until=self._clock.now() - self.visible_after_seconds)


def _shown(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "type": "TXT",
        "name": record.name,
        "content": record.content,
        "ttl": record.ttl,
        "proxied": False,
    }
