"""Flower: its safe defaults, the bounded state that it keeps, and pages of ours.

Forbidden here: remote control, and anything that changes a certificate.
"""
