"""The process `python -m workers controller`: watches the cluster, and publishes reconcile requests for the
workers. Any number may run."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence

from kombu.exceptions import OperationalError

from certmill.clock import SystemClock
from certmill.contract import CHANGES_QUEUE, MAX_LEFT, RECONCILE_TASKS
from certmill.controller.changes import ReconcileRequest
from certmill.controller.controller import Controller
from certmill.controller.ingress import DefaultIssuer
from certmill.controller.leader import Leadership
from certmill.errors import CertmillError, OtherInstallation, StateUnavailable, Temporary
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.resources import CERTIFICATES
from certmill.model.names import CertificateId, split_id
from certmill.observe import certificates, log
from certmill.runtime import Runtime
from certmill.settings import Settings
from workers import signals
from workers.celery_app import make_app
from workers.configuration import App
from workers.process import announce_ready, process_name

_AT_ONCE = 200
_MOST_WAITING = 1000
"""The maximum number of reconcile requests in the queue. Further ones stay in this process. There, an object
that changes many times is one request, and namespaces take turns."""

_FULL_SECONDS = 0.2
_IDLE_SECONDS = 0.5
_CHECK_DATA_SECONDS = 5.0
_log = log.get_logger(__name__)


def run(settings: Settings) -> int:
    """Watch until SIGTERM or SIGINT. Returns the exit code."""
    signals.configure_log(settings, process_name("controller"))
    stop = signals.stop_asked()
    try:
        client = KubeClient(connect(kubeconfig=settings.kubeconfig))
        runtime = Runtime.open(settings)
    except CertmillError as error:
        _log.error("controller.cannot_start", error=str(error))
        return 1
    app = make_app(settings)
    process = Process(
        app, runtime, controller_of(settings, client, stop), leadership_of(settings, client), stop
    )
    try:
        process.run()
    except OtherInstallation as error:
        _log.error("controller.cannot_start", error=str(error))
        return 1
    finally:
        app.exporter.stop()
        runtime.close()
    return 0


def leadership_of(settings: Settings, client: KubeClient) -> Leadership:
    """This process as a candidate for the Lease."""
    return Leadership(
        client,
        namespace=settings.namespace,
        name=settings.lease_name,
        identity=f"{socket.gethostname()} {os.getpid()}",
        clock=SystemClock(),
        seconds=settings.lease_seconds,
    )


def controller_of(settings: Settings, client: KubeClient, stop: threading.Event) -> Controller:
    """The controller with these settings; its watches do not run yet."""
    default = DefaultIssuer(name=settings.default_issuer_name or "", kind=settings.default_issuer_kind)
    return Controller(
        client,
        SystemClock(),
        stop,
        settings.watched_namespaces,
        default,
        settings.secrets_field_manager,
        settings.resync_seconds,
    )


class Process:
    """The controller's threads, and the loop that publishes reconcile requests."""

    def __init__(
        self,
        app: App,
        runtime: Runtime,
        controller: Controller,
        leadership: Leadership,
        stop: threading.Event,
    ) -> None:
        self._app = app
        self._runtime = runtime
        self._controller = controller
        self._leadership = leadership
        self._stop = stop
        self._led = False
        self._checked_at = 0.0

    def run(self) -> None:
        """Run until `stop` is set. Raises OtherInstallation."""
        runs = [*self._controller.watches(), ("leader", self._contend)]
        threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in runs]
        for thread in threads:
            thread.start()
        liveness = self._app.liveness
        # A watch whose thread ended because of an unforeseen error no longer observes anything.
        liveness.require("a watch's thread has ended", lambda: all(thread.is_alive() for thread in threads))
        liveness.need("the API server does not answer", lambda: self._leadership.answers)
        self._app.exporter.start()
        self._app.exporter.working.set()
        announce_ready()
        while not self._stop.is_set():
            liveness.turned()
            try:
                self._work_once()
            except Temporary as error:
                _log.warning("controller.waits", reason=str(error))
                self._stop.wait(1.0)
        try:
            self._leadership.give_up()
        except CertmillError as error:
            _log.warning("controller.lease_kept", reason=str(error))

    def _contend(self) -> None:
        while not self._stop.is_set():
            try:
                self._leadership.contend()
            except CertmillError as error:
                _log.error("controller.cannot_lead", error=str(error))
            self._stop.wait(self._leadership.renew_seconds)

    def _work_once(self) -> None:
        """One turn of the loop: reconcile the whole cluster if that is due, else publish requests for what
        has changed."""
        if not self._leadership.leads or not self._controller.synced:
            self._led = False
            self._stop.wait(0.1)
            return
        if not self._led or not self._redis_has_data():
            self._runtime.require_own_redis()
            began = time.monotonic()
            adopted = self._controller.adopt_ready(self._adopt)
            self._note_gauges()
            self._runtime.ports.records.note_adopted()
            self._led = True
            _log.info("controller.leads", adopted=adopted, seconds=round(time.monotonic() - began, 1))
        if self._runtime.ports.due.requests_waiting() >= _MOST_WAITING:
            self._stop.wait(_FULL_SECONDS)
            return
        requests = self._controller.take(_AT_ONCE, seconds=_IDLE_SECONDS, queue_is_short=self._queue_is_short)
        if requests:
            self._publish(requests)

    def _note_gauges(self) -> None:
        """Store the gauges of all Certificates as the cluster has them, and record an adoption for the ready
        ones that Redis did not know. A Certificate that Redis knows and that is not in the cluster was
        deleted while no controller led: it is reconciled, so that its record is forgotten. In a namespace
        that is not watched, a deletion is not observed, and certmill may have no rights: only the gauge is
        removed."""
        found, issuers = self._controller.gauges()
        gauges = self._runtime.ports.gauges
        others = gauges.others(found)
        gone = [one for one in others if self._controller.covers(one)]
        gauges.drop([one for one in others if not self._controller.covers(one)])
        self._controller.put_back([_of_certificate(one) for one in gone])
        for new in gauges.store_all(found, issuers):
            if found[new].ready:
                certificates.adopted(new, not_after=found[new].not_after, renew_at=found[new].renewal_time)

    def _redis_has_data(self) -> bool:
        """Whether Redis still has what this process stored. Checked every few seconds."""
        now = time.monotonic()
        if now - self._checked_at < _CHECK_DATA_SECONDS:
            return True
        self._checked_at = now
        return self._runtime.ports.records.has_adopted()

    def _queue_is_short(self) -> bool:
        """Whether workers process the queue, so that few reconcile requests wait."""
        return self._runtime.ports.due.requests_waiting() < _AT_ONCE

    def _adopt(self, certificates: Sequence[tuple[CertificateId, float]]) -> None:
        self._runtime.ports.records.adopt_all(certificates, now=self._runtime.ports.clock.now())

    def _publish(self, requests: list[ReconcileRequest]) -> None:
        for number, request in enumerate(requests):
            try:
                left = request.left[:MAX_LEFT]  # a resync publishes the others, one by one
                args = [request.reference, list(left)] if left else [request.reference]
                self._app.send_task(
                    RECONCILE_TASKS[request.kind], args=args, queue=CHANGES_QUEUE, retry=False
                )
            except OperationalError as error:
                self._controller.put_back(requests[number:])
                raise StateUnavailable(f"Redis does not take a message ({type(error).__name__})") from error


def _of_certificate(certificate: CertificateId) -> ReconcileRequest:
    namespace, name = split_id(certificate)
    return ReconcileRequest(kind=CERTIFICATES.kind, namespace=namespace, name=name)
