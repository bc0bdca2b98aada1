"""Decides whether a Certificate must be issued, and why (`decision`): pure checks of the observed pair in
order (`observation`, `policy`), and the time of its renewal (`plan`).

Forbidden here: I/O of any kind, and a clock: the instant is an argument."""
