"""``apns simulator``: Apple's side of the wire, for trying a program out by hand or by script."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import errno
import io
import json
import os
import shutil
import signal
import tempfile
from binascii import hexlify

from six.moves import shlex_quote

from .._compat import MYPY
from . import _options
from ._console import ALL_WELL, NO_CONNECTION, OUTPUT_FAILED, USAGE, Failure, one_line

if MYPY:
    from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

    from ._console import Console

#: First line of the files that this command writes, and the only files that it writes over.
_MARK = "# Made by apns simulator, which replaces it at each start.\n"

_DESCRIPTION = """\
Runs a simulator of Apple's binary gateway and feedback service on this machine until SIGINT
(Ctrl-C) or SIGTERM. Makes an authority and a client certificate, writes them to ca.pem and
client.pem, and prints a command that sends to it.
"""
_EPILOG = """\
output:
  the addresses and files, and at the end a summary. With --json two lines, each an object: one with
  "event": "ready" when clients can connect, one with "event": "summary" at the end.

exit status:
  0    it was ended by a signal
  2    wrong usage, or a file that cannot be written
  3    it cannot listen at that address
  4    the output or the record could not be written
  141  whoever read the output has gone away

example:
  apns simulator --directory certs --gateway-port 2195 --feedback-port 2196 --bad 5f1c...=8
"""


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "simulator", help="run a gateway to test against", description=_DESCRIPTION,
        epilog=_EPILOG, formatter_class=_options.HelpFormatter)
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--gateway-port", metavar="PORT", type=_options.port, default=0,
                        help="port of the gateway (default: a free one)")
    parser.add_argument("--feedback-port", metavar="PORT", type=_options.port, default=0,
                        help="port of the feedback service (default: a free one)")
    parser.add_argument("--directory", metavar="DIR",
                        help="where to write ca.pem and client.pem (default: a temporary directory "
                             "that is removed at the end)")
    parser.add_argument("--record", metavar="FILE",
                        help="append what is accepted to this file as it comes, one JSON object a "
                             "line")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    _add_device_arguments(parser)
    _add_script_arguments(parser)
    parser.set_defaults(run=run)


def _add_device_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    devices = parser.add_argument_group("devices")
    devices.add_argument("--strict", action="store_true",
                         help="refuse every token that no --device names")
    devices.add_argument("--device", metavar="TOKEN", action="append", default=[],
                         help="a device that exists; may be given many times")
    devices.add_argument(
        "--bad", metavar="TOKEN[=STATUS]", action="append", default=[], type=_bad,
        help="refuse this token, with this status (default: 8, invalid token); may be given many "
             "times")
    devices.add_argument("--uninstalled", metavar="TOKEN", action="append", default=[],
                         help="put this token on the feedback list; may be given many times")


def _add_script_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    script = parser.add_argument_group("misbehaviour, on every connection to the gateway")
    count = _options.number_from(0)
    script.add_argument("--delay", metavar="SECONDS", type=_options.seconds, default=0.0,
                        help="wait before each error frame")
    endings = script.add_mutually_exclusive_group()
    for name, what in (
            ("close", "close without an error frame"),
            ("stall", "stop reading, and keep the connection open"),
            ("reset", "reset the connection"),
            ("garbage", "answer with bytes that are no frame, and close"),
            ("shutdown", "answer with status 10, shutdown, and close")):
        endings.add_argument("--%s-after" % name, metavar="NUMBER", type=count,
                             help="%s, once so many notifications were accepted" % what)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run until a signal comes, and return the exit status."""
    with _directory(arguments.directory) as directory, _Stop() as stop:
        with _RecordFile(arguments.record) as record:
            apns = _new_simulator(arguments, record)
            try:
                apns.start()
            except EnvironmentError as error:
                raise Failure("cannot listen at %s: %s" % (arguments.host, one_line(error)),
                              NO_CONNECTION)
            try:
                _announce(apns, _write_files(apns, directory), arguments.json, console)
                stop.wait()
            finally:
                apns.stop()
        _summarise(apns, arguments.json, console)
    if record.error is not None:
        raise Failure("cannot write the record: %s" % record.error, OUTPUT_FAILED)
    return ALL_WELL


class _Stop(object):
    """Waits for SIGINT or SIGTERM. A signal that comes before the waiting ends it, too."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        # type: () -> _Stop
        self._reader, self._writer = os.pipe()
        self._previous = [(number, signal.signal(number, self._received))
                          for number in self._SIGNALS]
        return self

    def _received(self, number, frame):
        # type: (int, Any) -> None
        os.write(self._writer, b"\0")

    def wait(self):
        # type: () -> None
        """Return once a signal has come."""
        while True:
            try:
                os.read(self._reader, 1)
                return
            except OSError as error:  # Python 2.7 does not go on after a signal.
                if error.errno != errno.EINTR:
                    raise

    def __exit__(self, *exception):
        # type: (*Any) -> None
        for number, handler in self._previous:
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)


class _RecordFile(object):
    """Where ``--record`` goes; nowhere if there is no name. Written by the simulator's thread."""

    def __init__(self, name):
        # type: (Optional[str]) -> None
        #: Why not all was written (str), or None.
        self.error = None  # type: Optional[str]
        self._stream = None  # type: Any
        if name is not None:
            try:
                self._stream = io.open(name, "ab")
            except EnvironmentError as error:
                raise Failure("cannot write the record %r: %s"
                              % (str(name), os.strerror(error.errno or 0)), USAGE)

    def write(self, connection, notifications):
        # type: (int, Sequence[Any]) -> None
        """Append notifications; after a failure nothing more is written."""
        if self._stream is None or self.error is not None:
            return
        rows = [json.dumps({
            "connection": connection, "identifier": one.identifier, "expiry": one.expiry,
            "priority": one.priority, "token": hexlify(one.token).decode("ascii"),
            "payload": one.payload.decode("utf-8", "replace"),
        }, sort_keys=True) for one in notifications]
        try:
            self._stream.write(("\n".join(rows) + "\n").encode("ascii"))
            self._stream.flush()
        except EnvironmentError as error:
            self.error = one_line(error)

    def __enter__(self):
        # type: () -> _RecordFile
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        if self._stream is not None:
            try:
                self._stream.close()
            except EnvironmentError as error:
                self.error = self.error or one_line(error)


def _new_simulator(arguments, record):
    # type: (argparse.Namespace, _RecordFile) -> Any
    """Make the simulator that the arguments describe; it is not started yet."""
    from ..testing.simulator import Script, Simulator
    from ..testing.simulator.record import Record

    class WritingRecord(Record):
        """Keeps counts alone, and passes on what is accepted."""

        def accept(self, connection, notifications):
            # type: (int, Sequence[Any]) -> None
            super(WritingRecord, self).accept(connection, notifications)
            record.write(connection, notifications)

    class WritingSimulator(Simulator):
        """Runs for as long as it is needed, so it keeps nothing in memory."""

        def __init__(self, **options):
            # type: (**Any) -> None
            super(WritingSimulator, self).__init__(record=False, **options)
            self._record = WritingRecord(False)

    script = Script(**dict((name, getattr(arguments, name)) for name in (
        "delay", "close_after", "stall_after", "reset_after", "garbage_after", "shutdown_after")))
    apns = WritingSimulator(
        strict=arguments.strict, host=arguments.host, gateway_port=arguments.gateway_port,
        feedback_port=arguments.feedback_port, script=script)
    try:
        apns.devices.add(*arguments.device)
        for token, status in arguments.bad:
            apns.devices.bad(token, status)
        for token in arguments.uninstalled:
            apns.devices.uninstall(token)
    except ValueError as error:
        raise Failure(one_line(error), USAGE)
    return apns


@contextlib.contextmanager
def _directory(name):
    # type: (Optional[str]) -> Iterator[str]
    """Make the directory for the files; one without a name is removed at the end."""
    if name is None:
        directory = tempfile.mkdtemp(prefix="apns-simulator-")
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    if not os.path.isdir(name):
        try:
            os.makedirs(name)
        except EnvironmentError as error:
            raise Failure("cannot make the directory %r: %s"
                          % (str(name), os.strerror(error.errno or 0)), USAGE)
    yield name


def _write_files(apns, directory):
    # type: (Any, str) -> Dict[str, str]
    """Write the authority and the client's certificate; return the names of the files."""
    names = {}
    for key, content in (("ca", apns.ca_string), ("client", apns.cert_string)):
        names[key] = os.path.join(directory, key + ".pem")
        try:
            _write_private(names[key], (_MARK + content).encode("ascii"))
        except EnvironmentError as error:
            raise Failure("cannot write %r: %s" % (names[key], os.strerror(error.errno or 0)),
                          USAGE)
    return names


def _write_private(name, content):
    # type: (str, bytes) -> None
    """Write a file that only its owner can read; leave one of somebody else's making alone."""
    if os.path.exists(name):
        with io.open(name, "rb") as stream:
            if stream.read(len(_MARK)) != _MARK.encode("ascii"):
                raise Failure("%r is there already, and is not of this command's making; choose "
                              "another --directory" % name, USAGE)
        os.remove(name)
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def _announce(apns, files, as_json, console):
    # type: (Any, Dict[str, str], bool, Console) -> None
    gateway, feedback = ("%s:%d" % (("[%s]" if ":" in host else "%s") % host, port)
                         for host, port in (apns.gateway_address, apns.feedback_address))
    if as_json:
        console.document({
            "event": "ready", "gateway": gateway, "feedback": feedback,
            "ca_file": files["ca"], "cert_file": files["client"], "pid": os.getpid()})
        console.flush()
        return
    credential = "--ca-file %s --cert %s" % (shlex_quote(files["ca"]), shlex_quote(files["client"]))
    console.line("gateway   %s" % gateway)
    console.line("feedback  %s" % feedback)
    console.line("authority %s" % files["ca"])
    console.line("client    %s" % files["client"])
    console.line()
    console.line("Send to it, and read the feedback service, with:")
    console.line("  apns send --address %s %s --alert Hello %s" % (gateway, credential, "5f" * 32))
    console.line("  apns feedback --address %s %s" % (feedback, credential))
    console.line()
    console.line("Ctrl-C ends it.")
    console.flush()


def _summarise(apns, as_json, console):
    # type: (Any, bool, Console) -> None
    if as_json:
        console.document({
            "event": "summary", "accepted": apns.accepted_count, "errors": apns.answer_count,
            "connections": apns.connections, "resumed": apns.resumed, "refused": apns.refused,
            "feedback_connections": apns.feedback_connections,
            "feedback_rows": apns.feedback_count})
        return
    console.line("%d notifications accepted, %d error frames, %d connections (%d resumed, "
                 "%d refused)"
                 % (apns.accepted_count, apns.answer_count, apns.connections, apns.resumed,
                    apns.refused))
    console.line("%d feedback rows read on %d connections"
                 % (apns.feedback_count, apns.feedback_connections))


def _bad(value):
    # type: (str) -> Tuple[str, int]
    """Argument type: ``TOKEN`` or ``TOKEN=STATUS``."""
    token, separator, status = value.partition("=")
    return token, _options.number_from(0)(status) if separator else 8
