"""The eight steps of a run, one module for each step (`table` lists them), and the modules that several steps
use: challenges, solvers, manifests, orders, polling.

A step makes a few requests with time-outs that can be repeated safely, and returns an outcome
(`runs.outcomes`). Forbidden here: to claim or commit a record, to publish a task, a wait of more than a
second, the machine's clock."""
