"""What `--wait` prints where there is no terminal: a line a change, and each reason once."""

from __future__ import annotations

from certmill.cli.commands.follow import Following
from certmill.client import Status
from certmill.model.names import CertificateId

REASON = "the CA refuses the name"


class Asked:
    """A request whose status is what was put there."""

    id = "r"
    certificate = CertificateId("default/web")

    def __init__(self):
        self.now = Status(phase="queued")

    def status(self):
        return self.now

    def ask_again(self, status):
        pass


def lines_of(*statuses):
    asked = Asked()
    following, lines = Following([asked], 0.0), []
    for seconds, status in enumerate(statuses):
        asked.now = status
        following.update(float(seconds))
        lines += [line.split("  ")[-1] for line in following.changes()]
    return lines


def test_the_reason_of_a_failure_is_reported_once():
    failing = Status(phase="waiting", step="clean_up", reason=REASON, next_at=900.0)

    lines = lines_of(
        Status(phase="issuing", step="validate"),
        failing,
        Status(phase="failed", reason=REASON, next_at=900.0),
    )

    assert lines == ["validate", f"clean_up: {REASON}", "failed"]


def test_a_failure_whose_clean_up_nobody_saw_has_its_reason():
    assert lines_of(Status(phase="queued"), Status(phase="failed", reason=REASON)) == [
        "queued",
        f"failed: {REASON}",
    ]


def test_a_step_that_waits_for_the_same_as_the_one_before_says_so():
    away = [
        Status(phase="waiting", step=step, reason="the CA is away", next_at=9.0)
        for step in ("create_order", "validate")
    ]

    assert lines_of(*away, Status(phase="issued")) == [
        "create_order: the CA is away",
        "validate: the CA is away",
        "issued",
    ]
