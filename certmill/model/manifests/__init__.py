"""Read manifests and requests into the values of `model`, and write them back.

`parse` has the public functions. `schema_*` describe the fields of each kind, `*_rules` check combinations of
fields and build the values. pydantic is used only here. Forbidden here: I/O."""
