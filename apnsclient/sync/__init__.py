"""The client for threads and greenlets: the handles of both protocols, and what they share.

A handle leases a connection from the session's pool for each call, puts a driver on it, and gives
it back. What is sent, and what follows from the responses, is decided in ``sending``.
"""
