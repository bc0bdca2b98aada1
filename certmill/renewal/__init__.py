"""Decides whether a Certificate must be issued, and why: pure checks in order (`policy`), and the time of its
renewal (`plan`).

Forbidden here: I/O of any kind, and a clock: the instant is an argument."""
