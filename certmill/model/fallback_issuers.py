"""Reads the annotation certmill.io/fallback-issuers: the issuers that may issue in place of the first one.

    certmill.io/fallback-issuers: ClusterIssuer/zerossl, google

An entry without a kind has the kind that the annotation's object gives. An entry with an error is left out:
the other entries, and the object itself, stay usable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.certificate import IssuerRef
from certmill.model.identifiers import object_name, shown
from certmill.model.object_ref import ISSUER_KINDS

_MOST: Final = 8
_MAX_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackIssuers:
    """The entries in order, and one line for each entry that is left out."""

    refs: tuple[IssuerRef, ...] = ()
    faults: tuple[str, ...] = ()


_NONE: Final = FallbackIssuers()


def fallback_issuers_in(annotations: Mapping[str, str], *, default_kind: str) -> FallbackIssuers:
    """The fall-back issuers that these annotations name. Pure."""
    text = annotations.get(FALLBACK_ISSUERS, "")
    if not text:
        return _NONE
    if len(text) > _MAX_CHARACTERS:
        return FallbackIssuers(faults=(f"it is longer than {_MAX_CHARACTERS} characters, and is ignored",))
    refs: list[IssuerRef] = []
    faults: list[str] = []
    for found in _entries(text, default_kind):
        if isinstance(found, str):
            faults.append(found)
        elif found in refs:
            faults.append(f"{found.kind}/{found.name} is in it twice")
        else:
            refs.append(found)
    if len(refs) > _MOST:
        faults.append(f"it has {len(refs)} issuers, and only the first {_MOST} are used")
    return FallbackIssuers(refs=tuple(refs[:_MOST]), faults=tuple(faults))


def _entries(text: str, default_kind: str) -> Iterator[IssuerRef | str]:
    """Each entry, or what is wrong with it."""
    for entry in filter(None, (part.strip() for part in text.split(","))):
        kind, has_kind, name = entry.rpartition("/")
        kind = kind if has_kind else default_kind
        if kind not in ISSUER_KINDS:
            yield f"{shown(entry)} is ignored: write Issuer/NAME, ClusterIssuer/NAME or NAME"
            continue
        try:
            object_name(name)
        except ValueError as error:
            yield f"{shown(entry)} is ignored: {error}"
            continue
        yield IssuerRef(name=name, kind=kind)
