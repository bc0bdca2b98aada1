"""Is a certificate due, and why: pure checks in order (`policy`), and the instant of its renewal (`plan`).

Forbidden here: I/O of any kind, and a clock: the instant is an argument.
"""
