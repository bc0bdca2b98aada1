"""The Kubernetes controller's place: watches and translates, never writes. Nothing in this release; the directory home is re-read by a task.
"""
