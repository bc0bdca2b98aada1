"""Orders that a run continues instead of creating a new one: its own, and those of runs that Redis has lost.

`reuse` decides whether an order can be continued, `notes` keeps its URL in the Certificate's status, `lost`
finds the order of a lost run. Forbidden here: to create or finalize an order, to claim or commit a record."""
