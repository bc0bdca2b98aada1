"""Manifests and requests into the values of `model`, and back: `schema_*` has shapes, `*_rules` what fields
say together.

`parse` is the door. pydantic is used here, and nowhere else in `model`.
Forbidden here: I/O.
"""
