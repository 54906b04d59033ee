"""HTTP/2 as Apple's provider API uses it: bytes in, events out, bytes back.

Only what that takes, small and fast: requests of one shape, small responses. :mod:`.frames` has the
frames, :mod:`.headers` the header blocks, :mod:`.requests` the requests of a message,
:mod:`.client` the state of a client's connection, and :mod:`.server` that of a server's.
"""
