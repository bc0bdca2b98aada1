"""The place of thin typed calls on the official Kubernetes client, with its errors mapped to ours.

Empty in this release: the home is a directory.
Forbidden here: decisions, Redis, ACME; imported only where Kubernetes is used, so that other workers stay small.
"""
