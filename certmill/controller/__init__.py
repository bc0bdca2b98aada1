"""The place of the Kubernetes controller: it will watch and translate, and write nothing itself.

Empty in this release: the directory home is re-read by a tick (pipeline.ticks).
Forbidden here: writes to the API (they are steps or small tasks), ACME, Redis itself.
"""
