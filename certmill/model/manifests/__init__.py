"""Read manifests and requests into the values of `model`, and write them back.

`parse` has the public functions; `certificate` and `issuer` have the schemas and rules of their kinds. A
schema describes the fields, rules check combinations of fields and build the values. pydantic is used only
here. Forbidden here: I/O."""
