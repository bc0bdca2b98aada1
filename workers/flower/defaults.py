"""Flower, safe as `celery -A workers flower` starts it: login required, read-only, persistent, on loopback.

Flower reads its own options (environment, file, flags). We set ours before it does, and look at what came out
through Tornado's parse callback: what would make it unsafe ends the process with the reason. Only
`/healthcheck` needs no login; it answers OK and nothing else."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from certmill.settings import Settings
from workers.process import process_name

PASSWORD_FILE = "flower-password"  # noqa: S105 - a file's name
_SAVE_EVERY_MILLISECONDS = 30_000
_MAX_WORKERS = 500
_FORGET_WORKERS_AFTER_SECONDS = 3600


def make_safe(settings: Settings) -> None:
    """Set Flower's options in this process, and have the outcome checked when Flower has read flags,
    environment and file."""
    import flower.app  # noqa: PLC0415 - loaded only where Flower runs; it defines the options
    import flower.events  # noqa: PLC0415
    from tornado.options import options  # noqa: PLC0415

    from workers.flower import pages  # noqa: PLC0415
    from workers.flower import state as flower_state  # noqa: PLC0415

    flower.app.Events = flower_state.SavedEvents
    flower.events.EventsState = flower_state.BoundedState  # where somebody asks for --persistent=false
    pages.install()
    options.address = settings.flower_address
    options.port = settings.flower_port
    options.read_only = True
    options.persistent = True
    options.state_save_interval = _SAVE_EVERY_MILLISECONDS
    options.db = str(settings.home.absolute() / "flower" / "state")
    options.max_tasks = flower_state.MAX_TASKS
    options.max_workers = _MAX_WORKERS
    options.enable_events = False  # workers send them anyway, and nobody listens to remote control
    options.purge_offline_workers = _FORGET_WORKERS_AFTER_SECONDS
    # Which certificate, what began its run, and what it waits for.
    options.tasks_columns = "received,name,args,kwargs,state,retries,exception,runtime,uuid,worker"
    options.logging = "none"  # Tornado's own handler; the log is ours
    options.add_parse_callback(lambda: _check(settings))


def _check(settings: Settings) -> None:
    """Called by Tornado whenever Flower has parsed its options (twice if there is a flowerconfig.py)."""
    from tornado.options import options  # noqa: PLC0415

    if options.debug:
        raise SystemExit(
            "certmill: Flower's debug mode shows settings and secrets to whoever causes an error; start it "
            "without --debug"
        )
    if not options.read_only:
        raise SystemExit(
            "certmill: Flower must be read-only, or its users can run tasks; start it without "
            "--read_only=false"
        )
    os.umask(0o077)  # its state file names every certificate
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.home / "flower").mkdir(mode=0o700, exist_ok=True)
    if not options.basic_auth and not options.auth:
        options.basic_auth = [f"{settings.flower_user}:{password(settings)}"]
    if not all(_is_login(login) for login in options.basic_auth or ()):
        raise SystemExit("certmill: --basic_auth must be user:password; leave it out to have a password made")
    from workers import signals  # noqa: PLC0415 - as above; the supervisor needs only the password's file

    signals.configure_log(settings, process_name("flower"))


def _is_login(login: str) -> bool:
    user, _, secret = login.partition(":")
    return bool(user and secret)


def password_file(settings: Settings) -> Path:
    """Where the password is that was made because none was configured."""
    return settings.home.absolute() / PASSWORD_FILE


def password(settings: Settings) -> str:
    """Flower's password: the configured one, else the one kept in the home, which is made (0600) when it is
    not there."""
    if settings.flower_password is not None and settings.flower_password.get_secret_value():
        return settings.flower_password.get_secret_value()
    file = password_file(settings)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = secrets.token_urlsafe(24)
    try:
        with os.fdopen(
            os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as stream:
            stream.write(f"{made}\n")
    except FileExistsError:
        kept = file.read_text(encoding="utf-8").strip()
        if not kept:
            raise SystemExit(f"certmill: {file} is empty; delete it to have a new password made") from None
        return kept
    except OSError as error:
        raise SystemExit(
            f"certmill: cannot keep Flower's password in {file}: {error.strerror}; set "
            "CERTMILL_FLOWER_PASSWORD"
        ) from None
    return made
