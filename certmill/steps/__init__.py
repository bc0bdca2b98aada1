"""The eight steps of a run, one module for each step, and the modules that several steps use: challenges,
solvers, notes of orders.

A step makes one or a few requests, with time-outs, safe to repeat, and returns an outcome (`runs.outcomes`).
Forbidden here: to claim or commit a record, to publish a task, a wait of more than a second, the machine's
clock."""
