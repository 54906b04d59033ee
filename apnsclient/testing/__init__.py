"""What programs that use this package, and authors of back-ends, need for their tests.

Shipped and supported like the rest. Nothing here is imported by the client itself, and importing
this package alone imports nothing else:

* :mod:`apnsclient.testing.certs`: an authority and certificates, made on demand;
* :mod:`apnsclient.testing.simulator`: Apple's side on loopback, for both protocols;
* :mod:`apnsclient.testing.chaos`: a proxy that injects faults on the way to it;
* :mod:`apnsclient.testing.pytest_plugin`: both as fixtures;
* :mod:`apnsclient.testing.contract`: what every back-end must do, as a suite that its author runs.
"""
