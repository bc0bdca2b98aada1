"""Makes Flower safe when it is started by `celery -A workers flower`: login required, read-only, persistent,
on loopback.

Flower reads its own options (environment, file, flags). We set ours before it does, and check the result in
Tornado's parse callback. An unsafe option ends the process with the reason. Only `/healthcheck` needs no
login; it returns OK and nothing else."""

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
    """Set Flower's options in this process. The result is checked after Flower has read flags, environment
    and file."""
    import flower.app  # noqa: PLC0415 - loaded only where Flower runs; it defines the options
    import flower.events  # noqa: PLC0415
    from tornado.options import options  # noqa: PLC0415

    from workers.flower import pages  # noqa: PLC0415
    from workers.flower import state as flower_state  # noqa: PLC0415

    flower.app.Events = flower_state.SavedEvents
    flower.events.EventsState = flower_state.BoundedState  # used with --persistent=false
    pages.install()
    options.address = settings.flower_address
    options.port = settings.flower_port
    options.read_only = True
    options.persistent = True
    options.state_save_interval = _SAVE_EVERY_MILLISECONDS
    options.db = str(settings.home.absolute() / "flower" / "state")
    options.max_tasks = flower_state.MAX_TASKS
    options.max_workers = _MAX_WORKERS
    options.enable_events = False  # workers send them anyway, and no worker receives remote control
    options.purge_offline_workers = _FORGET_WORKERS_AFTER_SECONDS
    # The columns show which certificate it is, what began its run, and why it waits.
    options.tasks_columns = "received,name,args,kwargs,state,retries,exception,runtime,uuid,worker"
    options.logging = "none"  # disables Tornado's own handler; configure_log sets up the log
    options.add_parse_callback(lambda: _check(settings))


def _check(settings: Settings) -> None:
    """Check the options. Tornado calls this each time Flower has parsed its options (twice if there is a
    flowerconfig.py). Raises SystemExit if they are unsafe."""
    from tornado.options import options  # noqa: PLC0415

    if options.debug:
        raise SystemExit(
            "certmill: Flower's debug mode shows settings and secrets to users who cause an error; start it "
            "without --debug"
        )
    if not options.read_only:
        raise SystemExit(
            "certmill: Flower must be read-only, or its users can run tasks; start it without "
            "--read_only=false"
        )
    os.umask(0o077)  # the state file has the names of all certificates
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.home / "flower").mkdir(mode=0o700, exist_ok=True)
    if not options.basic_auth and not options.auth:
        options.basic_auth = [f"{settings.flower_user}:{password(settings)}"]
    if not all(_is_login(login) for login in options.basic_auth or ()):
        raise SystemExit("certmill: --basic_auth must be user:password; leave it out to have a password made")
    from workers import signals  # noqa: PLC0415 - as above; the supervisor needs only password_file

    signals.configure_log(settings, process_name("flower"))


def _is_login(login: str) -> bool:
    user, _, secret = login.partition(":")
    return bool(user and secret)


def password_file(settings: Settings) -> Path:
    """Return the path of the generated password, which is used if no password is configured."""
    return settings.home.absolute() / PASSWORD_FILE


def password(settings: Settings) -> str:
    """Return Flower's password: the configured one, else the one stored in the home. If there is none, it is
    generated (mode 0600). Raises SystemExit if the file is empty or cannot be written."""
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
