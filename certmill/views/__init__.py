"""Read models: what the command, the API and the metrics show of a certificate, derived from what is stored
and the time now.

`observations` reads home and Redis; the others are pure functions of stored values and a clock. Forbidden:
writing anything, deciding what the pipeline decides, and imports that take long (cryptography, redis): the
command must start quickly."""
