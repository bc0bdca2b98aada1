"""Programs and files that run certmill on a machine or in a cluster: the demo, the chart, and the real
servers that the demo, the tests and the benchmark start.

Forbidden: an import of `compose` from certmill/, tasks/, schedules/ or workers/. This package is not in the
wheel.
"""
