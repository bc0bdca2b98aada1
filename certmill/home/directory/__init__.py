"""The home in a directory: manifests, Secrets and status as files, for any number of processes on one file
system.

`home` implements the protocol; `files` reads and writes with size limits, atomically and durably.
Forbidden here: Redis, the Kubernetes API, and decisions about a certificate.
"""
