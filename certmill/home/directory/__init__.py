"""The home in a directory: manifests, Secrets and status as files, for any number of processes on one file
system.

`home` has the protocol; `files` reads and writes with size limits, atomically and durably.
Forbidden here: Redis, the Kubernetes API, and a decision about a certificate.
"""
