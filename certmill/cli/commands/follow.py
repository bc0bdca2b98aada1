"""Follows requests until they end, and shows what Progress reports. On a terminal it shows the steps live;
elsewhere it prints one line per change."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from certmill.cli.commands.progress import Mark, Progress
from certmill.cli.exit_codes import ExitCode, print_message, shown
from certmill.cli.session import Session
from certmill.client import Handle

LOOK_SECONDS = 0.1
_STYLES = {
    Mark.DONE: "green",
    Mark.FAILED: "red",
    Mark.WAITING: "yellow",
    Mark.RUNNING: "cyan",
    Mark.PENDING: "dim",
}


class Following:
    """A group of requests that are followed together, with the progress of each."""

    def __init__(self, handles: Sequence[Handle], started: float) -> None:
        self.handles = list(handles)
        self.started = started
        self.progress = {handle.id: Progress(started) for handle in handles}
        self._printed: dict[str, str] = {}
        self._reasons: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        return all(progress.status.ended for progress in self.progress.values())

    def update(self, now: float) -> None:
        """Read the status of each request that has not ended. Sends a request again if no worker has taken it
        for long. Raises StateUnavailable."""
        for handle in self.handles:
            if not self.progress[handle.id].status.ended:
                status = handle.status()
                self.progress[handle.id].observe(status, now)
                handle.ask_again(status)

    def changes(self) -> list[str]:
        """One line for each request whose state has changed since the last call. The line for the end of a
        run does not repeat a reason that the line for its clean-up already has."""
        lines = []
        for handle in self.handles:
            progress = self.progress[handle.id]
            status, line = progress.status, progress.headline().removesuffix(progress.again())
            if self._printed.get(handle.id) != line:
                is_printed = status.ended and self._reasons.get(handle.id) == status.reason
                self._printed[handle.id], self._reasons[handle.id] = line, status.reason
                line = status.phase if is_printed else line
                lines.append(f"{progress.now - self.started:6.1f} s  {handle.certificate}  {shown(line)}")
        return lines

    def table(self) -> Table:
        """The steps of one request, or one line per request if there are several."""
        grid = Table.grid(padding=(0, 2))
        for handle in self.handles:
            progress = self.progress[handle.id]
            if len(self.handles) > 1 or not progress.seen:
                grid.add_row(handle.certificate, shown(progress.headline()))
                continue
            for step in progress.steps():
                taken = "" if step.seconds is None else f"{step.seconds:.1f} s"
                grid.add_row(
                    Text(f"{step.mark} {step.name}", style=_STYLES[step.mark]),
                    Text(taken, justify="right"),
                    Text(shown(step.reason)),
                )
        return grid


def follow(session: Session, handles: Sequence[Handle], *, timeout: float) -> ExitCode:
    """Show the requests until all have ended, for at most `timeout` seconds. Returns OK, NOT_READY (time-out)
    or FAILED. Raises StateUnavailable."""
    clock, console = session.clock, Console()
    following = Following(handles, clock.now())
    live = (
        Live(console=console, refresh_per_second=10, get_renderable=following.table)
        if console.is_terminal
        else nullcontext()
    )
    with live:
        while True:
            following.update(clock.now())
            if not console.is_terminal:
                for line in following.changes():
                    print(line, flush=True)
            if following.ended or clock.now() >= following.started + timeout:
                break
            clock.pause(LOOK_SECONDS)
    return _verdict(following, timeout)


def _verdict(following: Following, timeout: float) -> ExitCode:
    """Print each request that was not issued on stderr. FAILED takes precedence over NOT_READY."""
    codes = {ExitCode.OK}
    for handle in following.handles:
        progress = following.progress[handle.id]
        if not progress.status.ended:
            # Of a request that is queued or unknown no run is known to be under way.
            later = ", and may still be" if progress.status.step == "" else "; the run continues"
            print_message(
                f"{handle.certificate} is not issued after {timeout:g} s{later}: {progress.headline()}"
            )
            codes.add(ExitCode.NOT_READY)
        elif progress.status.phase != "issued":
            print_message(f"{handle.certificate}: {progress.headline()}")
            codes.add(ExitCode.FAILED)
    return ExitCode.FAILED if ExitCode.FAILED in codes else max(codes)
