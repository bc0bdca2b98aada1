"""`make demo`: issues a certificate from a test CA with the same commands that a new user types.

It starts a test CA (Pebble) and the CA's DNS server, then `python -m workers up`. It then runs the real
commands: apply an issuer, request a certificate. No step is skipped or simulated: the CA validates through
HTTP at the responder, and the times of the steps come from Flower. All servers belong to the demo. They work
in a new directory, which is removed at the end. KEEP=1 leaves the demo running.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from certmill.contract import STEP_TASKS
from compose.flower_tasks import TaskSeen, tasks
from compose.servers import MissingServer, ServerFailed
from compose.servers.pebble import ChallTestSrv, Pebble
from compose.servers.ports import free_port
from compose.servers.process import ServerProcess

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("demo.example.test", "www.demo.example.test")
_FLOWER_USER = "certmill"
_LOG_TAIL_LINES = 15
_FLOWER_SECONDS = 5.0
_SOMEBODY_ELSES = ("CERTMILL_", "CELERY_", "FLOWER_", "REDIS_URL")
"""Prefixes of variables that the user's shell may set for another installation. The demo ignores them."""

_ISSUER = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: demo
spec:
  acme:
    server: {server}
    caBundle: {ca_bundle}
    email: demo@example.test
    privateKeySecretRef:
      name: demo-account
    solvers:
    - http01:
        ingress: {{}}
"""


class DemoFailed(Exception):
    """The demo ended without a certificate. The message names the command or the step that failed."""


@dataclass(kw_only=True)
class Demo:
    """One run of the demo in `directory`. start() registers the processes on `stack`, which stops them."""

    directory: Path
    stack: ExitStack = field(repr=False)
    began: float = field(default_factory=time.monotonic)
    up: ServerProcess = field(init=False, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    flower: str = ""
    admin_ports: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.up = ServerProcess("python -m workers up", log=self.directory / "certmill.log")

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def start(self) -> None:
        """Start the servers, start certmill, and write the issuer's manifest. Raises MissingServer,
        ServerFailed."""
        responder_port = free_port()
        dns = self.stack.enter_context(ChallTestSrv(directory=self.directory / "dns"))
        self.say(f"a DNS server that knows every name as 127.0.0.1, on {dns.dns}")
        pebble = self.stack.enter_context(
            Pebble(directory=self.directory / "pebble", dns=dns.dns, http_port=responder_port)
        )
        self.say(f"Pebble, a test CA that speaks ACME, on {pebble.directory_url}")
        ca_bundle = base64.b64encode(pebble.ca_bundle).decode()
        (self.directory / "issuer.yaml").write_text(
            _ISSUER.format(server=pebble.directory_url, ca_bundle=ca_bundle)
        )
        self._start_certmill(dns.dns, responder_port, free_port())

    def _start_certmill(self, dns: str, responder_port: int, flower_port: int) -> None:
        settings = {
            "home": str(self.home),
            "http01_port": str(responder_port),
            "responder_port": str(responder_port),
            "recursive_nameservers": dns,
            "flower_port": str(flower_port),
            "admin_port": str(free_port()),
            "flower_user": _FLOWER_USER,
        }
        own = {f"CERTMILL_{name.upper()}": value for name, value in settings.items()}
        self.environment = {**os.environ, **own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        ready = self.directory / "ready.json"
        self.stack.callback(self.up.stop, timeout_seconds=20.0)
        self.up.start(
            [sys.executable, "-m", "workers", "up", "--ready-file", ready],
            answers=ready.exists,
            environment=self.environment,
            timeout_seconds=90.0,
        )
        self.flower = f"http://127.0.0.1:{flower_port}"
        self.admin_ports = json.loads(ready.read_text())["admin_ports"]
        self.say("certmill, by `python -m workers up`: Valkey, workers, beat, HTTP-01 responder, Flower")

    def command(self, *arguments: str) -> None:
        """Run `certmill …` as a user would, and print the command line and the output.

        Raises DemoFailed if the exit code is not 0, and subprocess.TimeoutExpired after 120 s.
        """
        print(f"\n$ certmill {' '.join(arguments)}", flush=True)
        program = Path(sys.executable).with_name("certmill")
        code = subprocess.run(
            [program, *arguments], env=self.environment, cwd=self.directory, check=False, timeout=120
        ).returncode
        if code != 0:
            raise DemoFailed(f"`certmill {arguments[0]}` ended with exit code {code}")

    def show_steps(self) -> None:
        """Print the steps of the run with their times in seconds, as Flower's API returns them.

        Raises DemoFailed if Flower does not show every step as done, and urllib.error.HTTPError if Flower
        refuses the login.
        """
        seen = self._steps_in_flower()
        missing = [
            name
            for name in STEP_TASKS
            if not any(step.name == name and step.state == "SUCCESS" for step in seen)
        ]
        print("\nThe steps, as Flower shows them:")
        for step in seen:
            note = f"  waited: {step.reason}" if step.retried and step.reason else ""
            at = step.started - seen[0].started
            print(
                f"  {step.name.partition('.')[2]:<22}{step.state:<9}began at {at:6.3f} s, took "
                f"{step.seconds:6.3f} s{note}"
            )
        if missing:
            raise DemoFailed(f"Flower does not show these as done: {', '.join(missing)}")

    def _steps_in_flower(self) -> list[TaskSeen]:
        """Poll Flower until it shows every step as done, for at most _FLOWER_SECONDS: Flower receives the
        event of a task a moment after the task ended."""
        password = (self.home / "flower-password").read_text().strip()
        deadline = time.monotonic() + _FLOWER_SECONDS
        while True:
            seen = [task for task in tasks(self.flower, _FLOWER_USER, password) if task.name in STEP_TASKS]
            if (
                sum(task.state == "SUCCESS" for task in seen) >= len(STEP_TASKS)
                or time.monotonic() > deadline
            ):
                return seen
            time.sleep(0.1)

    def show_logs(self) -> None:
        """Print the last lines of every log on stderr."""
        for file in sorted(self.directory.rglob("*.log")):
            lines = file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            if lines:
                print(
                    f"\n--- the end of {file.relative_to(self.directory)}", *lines, sep="\n", file=sys.stderr
                )

    def keep(self) -> None:
        """Print how to use the running installation, and wait until Ctrl-C. Raises DemoFailed if certmill
        ends by itself."""
        stop = threading.Event()
        try:
            print(f"\nLeft running (KEEP=1) in {self.directory}. For commands in another terminal:")
            print(f"  cd {ROOT} && . .venv/bin/activate && export CERTMILL_HOME={self.home}")
            print(f"Stop it with Ctrl-C here, or: kill {os.getpid()}", flush=True)
            while not stop.wait(0.5):
                if not self.up.is_running:
                    raise DemoFailed("`python -m workers up` ended by itself")
        except KeyboardInterrupt:
            _ignore_interrupts()
            print("\nStopping.", flush=True)

    def say(self, line: str) -> None:
        print(f"{time.monotonic() - self.began:5.1f} s  {line}", flush=True)


def main() -> int:
    """Run the demo. Returns the exit code: 0, 1 if it failed, 130 if it was interrupted."""
    keep = os.environ.get("KEEP", "") not in ("", "0")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in [
        name for name in os.environ if name.startswith(_SOMEBODY_ELSES) and name != "CERTMILL_CACHE"
    ]:
        del os.environ[name]
    with (
        tempfile.TemporaryDirectory(prefix="certmill-demo-", ignore_cleanup_errors=True) as directory,
        ExitStack() as stack,
    ):
        demo = Demo(directory=Path(directory), stack=stack)
        try:
            _print_summary(demo, keep=keep)
        except (
            DemoFailed,
            MissingServer,
            ServerFailed,
            subprocess.TimeoutExpired,
            urllib.error.HTTPError,
        ) as error:
            demo.show_logs()
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted; stopping.", file=sys.stderr)
            return 130
        finally:
            _ignore_interrupts()
    return 0


def _ignore_interrupts() -> None:
    """Ignore further signals. make and uv may send a second one, and it must not leave processes behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _print_summary(demo: Demo, *, keep: bool) -> None:
    print(
        "certmill's demo, in "
        f"{demo.directory}{'' if keep else ' (removed at the end; KEEP=1 make demo leaves it running)'}\n"
    )
    demo.start()
    demo.command("apply", "-f", "issuer.yaml")
    demo.command("request", *NAMES, "--issuer", "demo", "--wait", "--timeout", "60")
    demo.show_steps()
    demo.command("get", "certificates", "-o", "wide")
    until_stopped = "" if keep else ", until it is stopped now; KEEP=1 make demo leaves it running to look at"
    print(f"\nWhere to look{until_stopped}:")
    print(f"  Flower   {demo.flower}{_login(demo) if keep else ''}")
    print(
        "  metrics  "
        f"{', '.join(f'{name} http://127.0.0.1:{port}/metrics' for name, port in demo.admin_ports.items())}"
    )
    print(
        f"  logs     grep certificate. {demo.directory / 'certmill.log'}    # a line for each thing that "
        "happened"
    )
    print(f"\nIssued by a real ACME server, after {time.monotonic() - demo.began:.1f} s in all.", flush=True)
    if keep:
        demo.keep()
    else:
        print("Stopping.", flush=True)


def _login(demo: Demo) -> str:
    return f"  (user {_FLOWER_USER}, password in {demo.home / 'flower-password'})"


if __name__ == "__main__":
    sys.exit(main())
