"""A CA client that fails in the methods that a test names, as often as it says."""

from __future__ import annotations


class Faulty:
    """A CA client whose next calls raise."""

    def __init__(self, client, errors) -> None:
        self._client, self._errors = client, errors

    def __getattr__(self, name):
        if self._errors.get(name):
            raise self._errors[name].pop(0)
        return getattr(self._client, name)


def with_faults(mill, **errors):
    """The environment with a CA that fails this many times in these methods."""
    mill.wrap_clients(lambda client: Faulty(client, errors))
    return mill
