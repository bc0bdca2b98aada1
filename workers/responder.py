"""The process `python -m workers responder`: serves HTTP-01 key authorizations from Redis until it is
stopped."""

from __future__ import annotations

from certmill.errors import CertmillError
from certmill.http01.responder import Responder
from certmill.observe import log
from certmill.runtime import Runtime
from certmill.settings import Settings
from workers import signals
from workers.admin.exporter import Exporter
from workers.admin.liveness import EVERY_SECONDS, Liveness
from workers.process import announce_ready, process_name

_log = log.get_logger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code. While Redis does not answer, requests get 503 and
    the process continues."""
    signals.configure_log(settings, process_name("responder"))
    stop = signals.stop_asked()
    try:
        runtime = Runtime.open(settings)
        responder = Responder(
            runtime.key_authorizations,
            settings.responder_host,
            settings.responder_port,
            shared=settings.responder_shared_hosts,
        )
        responder.start()
    except CertmillError as error:
        _log.error("responder.cannot_start", error=str(error))
        return 1
    _log.info("responder.listening", host=settings.responder_host, port=responder.port)
    liveness = Liveness()
    exporter = Exporter(settings, liveness)
    liveness.require("the thread that serves challenges has ended", lambda: responder.serves)
    exporter.start()
    exporter.working.set()
    announce_ready()
    while not stop.wait(EVERY_SECONDS):
        liveness.turned()
    exporter.stop()
    responder.stop()
    runtime.close()
    return 0
