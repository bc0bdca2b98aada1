"""Translates the conditions of a status to the form of cert-manager's CRDs and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from certmill.kube.objects import JsonObject, instant_of, mapping, rfc3339, sequence, text
from certmill.model.status import Condition

_OURS = ("Ready", "Issuing", "AtRisk")
"""The conditions that certmill writes; those of other writers stay as they are."""


def conditions_of(status: Mapping[str, object]) -> tuple[Condition, ...]:
    return tuple(
        _condition(mapping(one))
        for one in sequence(status.get("conditions"))
        if mapping(one).get("type") in _OURS
    )


def _condition(body: Mapping[str, object]) -> Condition:
    return Condition(
        type=text(body.get("type")),
        status=body.get("status") == "True",
        reason=text(body.get("reason")),
        message=text(body.get("message")),
        last_transition=instant_of(body.get("lastTransitionTime")) or 0.0,
    )


def merged_conditions(
    status: Mapping[str, object], ours: Sequence[Condition], generation: int
) -> list[Mapping[str, object]]:
    """Return the conditions of `status` with ours in place of the former ones; others stay."""
    there = [mapping(one) for one in sequence(status.get("conditions"))]
    known = {text(one.get("type")): one for one in there}
    return [
        *(_condition_json(one, known.get(one.type, {}), generation) for one in ours),
        *(one for one in there if one.get("type") not in _OURS),
    ]


def _condition_json(condition: Condition, before: Mapping[str, object], generation: int) -> JsonObject:
    """Return the condition as JSON. A condition that does not change retains its time, to the second, because
    the API stores seconds."""
    status = "True" if condition.status else "False"
    since = text(before.get("lastTransitionTime")) if before.get("status") == status else ""
    return {
        "type": condition.type,
        "status": status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": since or rfc3339(condition.last_transition),
        "observedGeneration": generation,
    }


def raw_condition(body: Mapping[str, object], type_: str) -> Mapping[str, object]:
    conditions = (mapping(one) for one in sequence(mapping(body.get("status")).get("conditions")))
    return next((one for one in conditions if one.get("type") == type_), {})


def generation_of(body: Mapping[str, object], type_: str) -> object:
    return raw_condition(body, type_).get("observedGeneration")
