"""Typed calls to the Kubernetes API. The official client gives configuration, credentials and connections.

`client` has a method for each verb, `answers` turns answers into JSON or our errors, `resources` names the
API's resources, `objects` reads metadata, `connection` finds the API server. Import this package only where
Kubernetes is used: the official client takes 40 MB. Forbidden here: decisions, Redis, ACME, knowledge of
certificates."""
