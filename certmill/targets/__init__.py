"""Targets: where a stored pair is copied besides the home's Secret; one module a target, none in this release. A target knows no other target, no Redis, no ACME.
"""
