"""The admin HTTP port of each process: `/metrics`, `/livez`, `/readyz`.

`server` answers requests, `exporter` collects the metrics, `liveness` judges whether the process does its
work. Forbidden here: to change anything."""
