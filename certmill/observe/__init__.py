"""What an operator sees of a running certmill: `log` configures the logs of every process, ours and the
libraries', in one format.

A log line is a constant event name and fields: identifiers, never objects, never anything secret (a last
processor masks what slips). Forbidden here: Redis, the home, ACME, Celery. Nothing is configured at import;
the process that starts does it once."""
