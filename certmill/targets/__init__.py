"""The place of targets: where a stored pair is copied besides the home's Secret, one module a target.

Empty in this release: the home's Secret is the only place.
Forbidden here: Redis, ACME, decisions, and any knowledge of another target.
"""
