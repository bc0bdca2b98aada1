"""The admin HTTP port of each process: `/metrics`, `/livez`, `/readyz`.

`server` answers requests, `exporter` collects the metrics, `liveness` decides whether the process does its
work. Forbidden here: to change anything."""
