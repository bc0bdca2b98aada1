"""The Redis server itself: the connection, fail-over, and its clock, which all processes share.

Forbidden here: keys of certmill's own, which are in `state`.
"""
