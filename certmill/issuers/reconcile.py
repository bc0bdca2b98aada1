"""Reconciles an issuer that is new or has changed: registers its account, and begins again the Certificates
that failed because of it (issuer_failures)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from certmill.certificates.reconcile import Reconciler, reconcile_all
from certmill.errors import Busy, CertmillError, InvalidManifest, Temporary
from certmill.issuers import account, registration_backoff
from certmill.issuers import failures as issuer_failures
from certmill.model.issuer import Issuer
from certmill.model.object_ref import ObjectRef
from certmill.observe import recording
from certmill.runs import chain
from certmill.runs.ports import Ports

_BATCH = 100

INVALID_URL: Final = "InvalidURL"
"""cert-manager's reason for an issuer whose spec.acme.server is not a URL."""
INVALID_CONFIG: Final = "InvalidConfig"
"""cert-manager's reason for an issuer with any other error in its spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerReconciled:
    """The result of a reconciliation. `done` is False if the issuer must be reconciled again; `failed` has
    one line for each error."""

    done: bool
    failed: tuple[str, ...] = ()


class IssuerReconciler:
    """Decides for one issuer at a time. One instance per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler

    def reconcile_path(self, kind: str, path: str, *, owner: str) -> None:
        """Reconcile the Issuer with the path `namespace/name`, or the ClusterIssuer `name`. If its manifest
        is not valid, its status and an event say so. Raises Temporary.

        The controller requests this as long as the issuer is not Ready. So nothing is done for an issuer that
        was refused, until it or one of its own Secrets changes. Nothing is done for an issuer that is being
        deleted."""
        ports, ref = self._ports, ObjectRef.from_path(kind, path)
        try:
            issuer = ports.home.issuer(ref)
        except InvalidManifest as error:
            reason = INVALID_URL if error.path == "spec.acme.server" else INVALID_CONFIG
            if ports.home.refuse(ref, reason=reason, message=str(error)):
                ports.events.record_refusal(ref, reason, str(error))
            return
        if issuer is None:
            ports.gauges.forget_issuer(ref)
        elif not issuer.deleting and registration_backoff.refusal(ports, issuer) is None:
            self.reconcile(issuer, owner=owner)

    def reconcile(
        self, issuer: Issuer, *, owner: str, may_continue: Callable[[], bool] = lambda: True
    ) -> IssuerReconciled:
        """Register the issuer's account, and begin again what failed because of it, as long as
        `may_continue()` is true."""
        result = self._reconciled(issuer, owner=owner, may_continue=may_continue)
        recording.sink().sync(f"{issuer.kind.lower()}s", failed=bool(result.failed))
        return result

    def _reconciled(
        self, issuer: Issuer, *, owner: str, may_continue: Callable[[], bool]
    ) -> IssuerReconciled:
        try:
            with self._ports.namespace_limit.of(issuer.namespace):
                account.register(self._ports, issuer, owner=owner)
            if missing := account.confirm(self._ports, issuer):
                return IssuerReconciled(done=True, failed=(f"{issuer.reference}: {missing}",))
            return self._try_again(issuer, may_continue)
        except Busy:
            return IssuerReconciled(done=False)
        except CertmillError as error:
            return IssuerReconciled(
                done=not isinstance(error, Temporary), failed=(f"{issuer.reference}: {error}",)
            )

    def _try_again(self, issuer: Issuer, may_continue: Callable[[], bool]) -> IssuerReconciled:
        """End the wait of each run that waits for this issuer. A Certificate without a run is reconciled,
        which begins its run."""
        records = self._ports.issuer_records
        done = True
        failed: list[str] = []
        for number, certificate in enumerate(issuer_failures.to_begin(self._ports, issuer)):
            if number % _BATCH == _BATCH - 1 and not may_continue():
                return IssuerReconciled(done=False, failed=tuple(failed))
            if self._ports.records.end_wait(certificate, chain.FIRST, now=self._ports.clock.now()):
                records.forget_failing(issuer.ref, [certificate])
                continue
            errors = reconcile_all(self._reconciler, {certificate: True})
            if errors:
                failed.append(f"Certificate {certificate}: {errors[certificate]}")
                done = done and not isinstance(errors[certificate], Temporary)
            else:
                records.forget_failing(issuer.ref, [certificate])
        return IssuerReconciled(done=done, failed=tuple(failed))
