"""What a program that uses this package needs for its tests: certificates, and Apple's side.

Shipped and supported like the rest. Nothing here is imported by the client itself, and importing
this package alone imports nothing else:

* :mod:`apnsclient.testing.certs`: an authority and certificates, made on demand;
* :mod:`apnsclient.testing.simulator`: Apple's binary gateway and feedback service on loopback;
* :mod:`apnsclient.testing.contract`: what every back-end must do, as a suite that its author runs.
* :mod:`apnsclient.testing.chaos`: a proxy that injects faults on the way to it.
"""
