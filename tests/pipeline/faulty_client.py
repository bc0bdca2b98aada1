"""A CA that fails at the verbs that a test names, as often as it says."""

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
    """The mill, with a CA that fails so often at these verbs."""
    mill.wrap_clients(lambda client: Faulty(client, errors))
    return mill
