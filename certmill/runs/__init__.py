"""A run of a certificate: `engine` claims a step and acts, `transitions` commits its outcome, then records it
in status, events and logs.

`context` has the ports that a step may use, `facts` what a run has found out, `outcomes` how a step ends,
`backoff` when to try again. Forbidden here: Celery, Redis itself (only `state`'s calls), ACME and DNS
requests (they are in `steps`), the machine's clock."""
