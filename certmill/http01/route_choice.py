"""Choose the HTTP-01 route of a Certificate in a cluster: a solver Ingress, or a path in the user's Ingress
(edit in place). Pure."""

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
    """A path in the user's Ingress of this name, in the Certificate's namespace. An ingressTemplate is not
    applied to it."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnIngress:
    """A solver Ingress. Its class is set by the annotation (`ingress_class`) or the field
    (`ingress_class_name`); without both the cluster's default class is used."""

    ingress_class: str = ""
    ingress_class_name: str = ""
    template: IngressTemplate = field(default_factory=IngressTemplate)


Route = EditIngress | OwnIngress


def choose_route(solver: Http01Solver, annotations: Mapping[str, str]) -> Route:
    """The route for a Certificate with these annotations. An annotation overrides the solver's class and
    name. Raises SolverMisconfigured if the Certificate has more than one of them, or an invalid one."""
    given = {name: annotations[name] for name in OVERRIDES if annotations.get(name)}
    if len(given) > 1:
        raise SolverMisconfigured(
            f"the Certificate may have only one of the annotations {' and '.join(given)}; remove all but "
            "one, also from the Ingress if the Certificate was made from one"
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
    """The solver's fields in the form of annotations. At most one of them is set."""
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
