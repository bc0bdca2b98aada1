"""`python -m workers up`: runs all processes on one machine, with an embedded Valkey if no Redis is
configured.

Forbidden here: what the processes do."""
