"""What of which message is sent over which connection, what is sent again, and when to stop.

No I/O: the shells around it (``sync``) bring bytes and time, and do what is decided here.
"""
