"""The exceptions of a task that does not succeed. Flower shows the `repr` of each, so it is one line without
anything secret."""

from __future__ import annotations

from celery.exceptions import Retry


class StepFailed(Exception):
    """A task failed for a reason that certmill knows; the message is one clean line."""

    def __repr__(self) -> str:
        return str(self)


class NotYet(Retry):
    """The step waits. Flower shows RETRY with the reason. Nothing is published; when the step is due, the
    tick publishes the same task."""

    def __repr__(self) -> str:
        return str(self.message)


class TaskBroken(Exception):
    """A defect of certmill. The message has the class of the error and where it was raised. It never has the
    error's text, which can contain anything."""

    def __repr__(self) -> str:
        return str(self)
