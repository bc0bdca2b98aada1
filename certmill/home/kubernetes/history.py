"""Stores how the previous runs ended in an annotation of the Certificate: its CRD has no field for that, and
events expire after an hour. Pure.

The annotation is written only when a run ends, in the same request as the time of the next attempt, or as the
removal of the note of its order. A change of this annotation does not make the controller request a reconcile
(controller.views).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certmill.errors import NewerRelease
from certmill.kube.objects import meta_of
from certmill.model.history import PastRun
from certmill.model.persisted import Codec

HISTORY_ANNOTATION: Final = "certmill.io/history"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    runs: tuple[PastRun, ...] = ()


_CODEC: Final = Codec(_Kept, lenient=True)


def history_of(body: Mapping[str, object]) -> tuple[PastRun, ...]:
    """Return the runs in the annotation; () if it is damaged or of a newer release. It is only informative,
    so this is not an error."""
    try:
        return _CODEC.load(_annotation(body)).runs
    except NewerRelease:
        return ()


def history_annotation(history: tuple[PastRun, ...], body: Mapping[str, object]) -> str | None:
    """Return the annotation of `body` with this history; None if it has this value already, or if a newer
    release wrote it: then it stays as it is."""
    if history == history_of(body):
        return None
    try:
        return _CODEC.dump(_Kept(runs=history), unknown=_CODEC.unknown(_annotation(body)))
    except NewerRelease:
        return None


def _annotation(body: Mapping[str, object]) -> str:
    return meta_of(body).annotations.get(HISTORY_ANNOTATION, "{}")
