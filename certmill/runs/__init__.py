"""One run of a certificate: `engine` claims and executes a step; `transitions` commits the outcome and then
shows it in status, events and logs.

`step_context` is what a step has, `ports` what it uses outside the process, `facts` the data that a run has
collected, `outcomes` the ways a step can end, `backoff` the time of the next try. Forbidden here: Celery,
Redis itself (only `state`'s calls), ACME and DNS requests (they are in `steps`), the machine's clock."""
