"""Thin typed calls on the official Kubernetes client: its configuration, credentials and connections, JSON in
and out, its errors as ours.

`resources` names the API's resources, `client` has a call for each verb, `answers` says what its answers
mean, `objects` reads what every object has, `connection` finds the API server. Forbidden here: decisions,
Redis, ACME, what a certificate is. Imported only where Kubernetes is used (the client takes 40 MB), so that
other workers stay small."""
