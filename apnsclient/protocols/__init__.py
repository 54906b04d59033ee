"""Protocols as functions of bytes: no socket, no clock, no thread, no log.

What arrives is fed in, what it means comes out, and what is to be sent is returned as bytes. Who
moves the bytes, and when, is decided elsewhere.
"""
