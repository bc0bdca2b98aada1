"""Logs and metrics of every process.

`log` configures logging of certmill and of the libraries in one format: a constant event name and fields with
identifiers, never objects or secrets. `metrics` counts what one process does, `fleet_metrics` what Redis
knows. Importing configures nothing; each process does it once at its start. Forbidden here: Redis, the home,
ACME, Celery."""
