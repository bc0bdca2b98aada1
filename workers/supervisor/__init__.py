"""`python -m workers up`: all processes on one machine, and an embedded Valkey where no Redis is given.

Forbidden here: what the processes do.
"""
