"""Flower, the web page of tasks: its safe defaults, its bounded state, and our own pages.

Forbidden here: remote control, and anything that changes a certificate."""
