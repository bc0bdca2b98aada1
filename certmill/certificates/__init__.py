"""Compares the desired state of a Certificate with the stored state, and begins a run if they differ.

`reconcile` is the entry point. It uses `ownership`, `conditions` and `secret_contract`.

Decisions are pure functions that return a value with a reason; `reconcile`, `begin_run`, `requests` and
`statuses` do the I/O. Forbidden here: requests to a CA or a DNS server, Celery, Redis itself."""
