"""Read models: what the command, the API and the metrics show of a certificate, derived from stored values
and the current time.

`observations` reads the home and Redis; the other modules are pure functions of stored values and a clock.
Forbidden: writes, decisions that belong to the pipeline, and imports that take long (cryptography, redis),
because the command must start quickly.
"""
