"""The zones of the fake Cloudflare and their TXT records. The fake API changes them, and the fake name server
serves them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A TXT record; `content` is as the client sent it, with or without quotes."""

    id: str
    zone_id: str
    name: str
    content: str
    ttl: int
    created: float

    @property
    def text(self) -> str:
        """The value, without quotes."""
        return (
            self.content[1:-1]
            if len(self.content) > 1 and self.content[0] == self.content[-1] == '"'
            else self.content
        )


class Zones:
    """Zones and records by id. Not thread-safe: the caller must lock."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {f"{number:032x}": zone for number, zone in enumerate(names, start=0xC10)}
        self._records: dict[str, Record] = {}
        self._numbers = itertools.count(0x1EC)

    def zone_id_for(self, name: str) -> str:
        """Return the id of the zone that holds a name."""
        return next(zone_id for zone_id, zone in self.names.items() if _is_in(name, zone))

    def move(self, zone: str) -> None:
        """Remove a zone and add it again: it has a new id and no records."""
        old = next(zone_id for zone_id, name in self.names.items() if name == zone)
        del self.names[old]
        self.names[f"{next(self._numbers):032x}"] = zone
        self._records = {key: record for key, record in self._records.items() if record.zone_id != old}

    def records_of(self, zone_id: str) -> list[Record]:
        """Return the records of a zone, oldest first."""
        return [record for record in self._records.values() if record.zone_id == zone_id]

    def values_at(self, name: str) -> list[str]:
        """Return the values at a name, without quotes, oldest first."""
        return [record.text for record in self._records.values() if record.name == name.lower().rstrip(".")]

    def add(self, zone_id: str, name: str, content: str, *, ttl: int, now: float) -> Record | None:
        """Add a record and return it; None if there is an identical one."""
        zone, name = self.names[zone_id], name.lower().rstrip(".")
        # Cloudflare treats a name outside of the zone as a name below it.
        name = name if _is_in(name, zone) else f"{name}.{zone}"
        record = Record(
            id=f"{next(self._numbers):032x}",
            zone_id=zone_id,
            name=name,
            content=content,
            ttl=ttl,
            created=now,
        )
        if any(
            (other.zone_id, other.name, other.text) == (zone_id, name, record.text)
            for other in self._records.values()
        ):
            return None
        self._records[record.id] = record
        return record

    def remove(self, zone_id: str, record_id: str) -> bool:
        """Remove the record. Returns False if the zone does not have it."""
        record = self._records.get(record_id)
        if record is None or record.zone_id != zone_id:
            return False
        del self._records[record_id]
        return True

    def served(self, *, made_until: float) -> dict[str, dict[str, list[str]]]:
        """Return the zones in the form of the name server, with the records that are old enough. Every name
        has the address 127.0.0.1."""
        served: dict[str, dict[str, list[str]]] = {}
        for zone in self.names.values():
            soa = f"ns1.{zone}. hostmaster.{zone}. 1 3600 600 86400 1"
            served[zone] = {"SOA": [soa], "NS": [f"ns1.{zone}."], "A": ["127.0.0.1"]}
            served[f"ns1.{zone}"] = served[f"*.{zone}"] = {"A": ["127.0.0.1"]}
        for record in self._records.values():
            if record.created <= made_until:
                served.setdefault(record.name, {"A": ["127.0.0.1"]}).setdefault("TXT", []).append(
                    f'"{record.text}"'
                )
        return served


def _is_in(name: str, zone: str) -> bool:
    return name == zone or name.endswith(f".{zone}")
