"""The Redis server: the connection, fail-over, and its clock, which all processes share.

Forbidden here: keys of certmill, which are in `state`."""
