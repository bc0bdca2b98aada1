"""The flow of a run: `flow` names the steps in order, one module a step; `engine` claims and acts, `endings` commits and tells; `reconcile`
decides whether a run is needed.

A decision is a pure function of facts and an instant and returns a value with a reason; a step makes one or a few requests, with
time-outs, safe to repeat.
Forbidden here: Celery, Redis itself (only `state`'s calls), a wait of more than a second's linger, a look at the machine's clock.
"""
