"""Drivers: each drives one protocol over a connection that was leased from a back-end.

A driver knows when to write, when to look for an answer and how long to wait for one. What the
bytes mean is the protocol's business, how they travel the back-end's.
"""
