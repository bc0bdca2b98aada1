"""What Redis has for the metrics: counts of the fleet, and the gauges of each certificate and issuer.

A scrape costs a few round trips, and no scan of the home. Forbidden here: to change the state of a run.
"""
