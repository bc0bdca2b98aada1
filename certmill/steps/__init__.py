"""The eight steps of a run, one module a step, and what several steps share: challenges, solvers, the note of
an order.

A step makes one or a few requests, with time-outs, safe to repeat, and returns an outcome (`runs.outcomes`).
Forbidden here: to claim or commit a record, to publish a task, a wait of more than a second, the machine's
clock."""
