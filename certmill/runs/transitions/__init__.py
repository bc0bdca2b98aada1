"""How a step ends: one module for each kind of outcome. Each commits the outcome to the record in one Lua
call, and only then writes events and logs. Only the status of a failed run is written before.

If the process dies in between, the record decides, and the tick publishes the next step. Forbidden here:
requests to CAs and DNS, a second commit for one outcome, a write to the home without the lease."""
