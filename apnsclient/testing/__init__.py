"""Tools for the tests of programs that use this package, and of back-ends.

They are supported like the rest. The client imports none of them, and importing this package
imports nothing else:

* :mod:`apnsclient.testing.certs`: an authority and certificates, created on demand;
* :mod:`apnsclient.testing.simulator`: Apple's servers on loopback, for both protocols;
* :mod:`apnsclient.testing.chaos`: a proxy that injects faults;
* :mod:`apnsclient.testing.pytest_plugin`: both as fixtures;
* :mod:`apnsclient.testing.contract`: a test suite for back-ends.
"""
