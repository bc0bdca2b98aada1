"""The data in Redis from which the metrics are made: counts of the fleet, and gauges of each certificate and
issuer.

A scrape costs a few round trips and no scan of the home. Forbidden here: to change the state of a run."""
