"""Schedules the requests for the renewal information of stored pairs (RFC 9773). `upkeep.ari_checks` makes
them."""

from __future__ import annotations

from certmill.renewal import ari
from certmill.renewal.observation import Observation
from certmill.runs.ports import Ports


def schedule(ports: Ports, observation: Observation, *, now: float) -> None:
    """Schedule the next request for a pair that is the desired one, if none is scheduled."""
    if observation.uses_ari and observation.leaf is not None and observation.leaf.cert_id:
        at = ari.check_again(observation.ari, observation.leaf, now)
        ports.ari_checks.schedule_if_missing(observation.certificate.id, at=at)
