"""Runs programs in forks of one interpreter that has imported the client already.

A program that sends one message and ends takes a quarter of a second, most of which is the import
of OpenSSL. Here the import is paid once. Otherwise each is a program: its text is the module
``__main__`` of a process that has its own arguments, output and exit.
"""

from __future__ import absolute_import, division, print_function

import io
import json
import os
import shutil
import subprocess
import tempfile
import threading

from net_support import SOON, interpreter_command, script_environment

__all__ = ["ScriptServer"]

_SERVER = """
import json, os, sys
import apnsclient, apnsclient.backends.stdio

for line in iter(sys.stdin.readline, ""):
    job = json.loads(line)
    child = os.fork()
    if not child:
        break
    os.write(1, ("%d\\n" % child).encode("ascii"))
    os.write(1, ("%d\\n" % os.waitpid(child, 0)[1]).encode("ascii"))
else:
    sys.exit()

for number, name in ((0, os.devnull), (1, job["output"]), (2, job["errors"])):
    file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    os.dup2(file, number)
    os.close(file)
sys.argv[1:] = [str(each) for each in job["argv"]]
exec(compile(job["text"], "<string>", "exec", 0, True))
"""


class ScriptServer(object):
    """The interpreter that forks; it has warnings as errors, as each ``Script`` has."""

    def __init__(self):
        self._folder = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            interpreter_command() + ["-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=script_environment(), close_fds=True)

    def run(self, text, *argv):
        """Run a program; return its exit status, standard output and standard error (text)."""
        names = [os.path.join(self._folder, name) for name in ("output", "errors")]
        job = {"text": text, "argv": argv, "output": names[0], "errors": names[1]}
        self._process.stdin.write(json.dumps(job).encode("ascii") + b"\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        # A program that hangs ends by a signal, and that is a status too.
        watchdog = threading.Timer(SOON, os.kill, (child, 9))
        watchdog.start()
        try:
            status = int(self._process.stdout.readline())
        finally:
            watchdog.cancel()
        told = []
        for name in names:
            with io.open(name, encoding="utf-8") as stream:
                told.append(stream.read())
            os.unlink(name)
        return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
                told[0], told[1])

    def run_well(self, text, *argv):
        """Run a program that must succeed without a word on standard error; return its output."""
        status, output, errors = self.run(text, *argv)
        assert (status, errors) == (0, ""), "status %d: %s" % (status, errors)
        return output

    def stop(self):
        """End the interpreter."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        shutil.rmtree(self._folder)
