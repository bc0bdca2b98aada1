"""Which way the CA's request takes to the responder in a cluster: an Ingress of our own, or a path in the
user's (edit in place). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from certmill.errors import SolverMisconfigured
from certmill.model.annotations import (
    OVERRIDE_INGRESS_CLASS,
    OVERRIDE_INGRESS_CLASS_NAME,
    OVERRIDE_INGRESS_NAME,
    OVERRIDES,
)
from certmill.model.identifiers import object_name
from certmill.model.issuer import Http01Solver, IngressTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class EditIngress:
    """A path in the Ingress of this name, in the Certificate's namespace. An ingressTemplate is not applied
    to what is the user's."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnIngress:
    """An Ingress of our own, with its class in the annotation, in the field, or left to the cluster's
    default."""

    ingress_class: str = ""
    ingress_class_name: str = ""
    template: IngressTemplate = field(default_factory=IngressTemplate)


Way = EditIngress | OwnIngress


def way(solver: Http01Solver, annotations: Mapping[str, str]) -> Way:
    """The way for a Certificate with these annotations: one of them goes over the solver's class and name.
    Raises SolverMisconfigured."""
    given = {name: annotations[name] for name in OVERRIDES if annotations.get(name)}
    if len(given) > 1:
        raise SolverMisconfigured(
            f"the Certificate may have only one of the annotations {' and '.join(given)}; take away all but "
            "one, "
            "on the Ingress too if it is made from one"
        )
    if not given:
        given = _of(solver)
    if OVERRIDE_INGRESS_NAME in given:
        return EditIngress(name=_checked(OVERRIDE_INGRESS_NAME, given[OVERRIDE_INGRESS_NAME]))
    class_name = given.get(OVERRIDE_INGRESS_CLASS_NAME, "")
    return OwnIngress(
        ingress_class=given.get(OVERRIDE_INGRESS_CLASS, ""),
        ingress_class_name=_checked(OVERRIDE_INGRESS_CLASS_NAME, class_name) if class_name else "",
        template=solver.ingress_template,
    )


def _of(solver: Http01Solver) -> dict[str, str]:
    """The solver's own fields, one of which is set at most, as if they were annotations."""
    fields = {
        OVERRIDE_INGRESS_NAME: solver.ingress_name,
        OVERRIDE_INGRESS_CLASS: solver.ingress_class,
        OVERRIDE_INGRESS_CLASS_NAME: solver.ingress_class_name,
    }
    return {name: value for name, value in fields.items() if value}


def _checked(annotation: str, name: str) -> str:
    try:
        return object_name(name)
    except ValueError as error:
        raise SolverMisconfigured(f"the annotation {annotation}: {error}") from None
