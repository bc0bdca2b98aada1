"""From what is desired and what is stored to a run, or none: `reconcile`, and what it needs: ownership,
conditions, the Secret contract.

Decisions are pure functions that return a value with a reason; `reconcile`, `begin_run`, `requests` and
`statuses` do the I/O. Forbidden here: requests to a CA or a DNS server, Celery, Redis itself."""
