"""What a session takes: back-ends in three forms, addresses, certificates, sizes."""

from __future__ import absolute_import, division, print_function

import datetime
import os
import socket
import sys
import types
import warnings

import pytest
import six

import apnsclient
from apnsclient import APNs, Message, Session
from apnsclient.backends import BaseBackend, BaseConnection
from apnsclient.backends.dummy import Backend, Certificate
from apnsclient.certificate import BaseCertificate
from apnsclient.errors import APNsError, ConnectError
from tables import each

ADDRESSES = {
    "push_sandbox": ("gateway.sandbox.push.apple.com", 2195),
    "push_production": ("gateway.push.apple.com", 2195),
    "feedback_sandbox": ("feedback.sandbox.push.apple.com", 2196),
    "feedback_production": ("feedback.push.apple.com", 2196),
    "push_sanbox": ("gateway.sandbox.push.apple.com", 2195),
}
TOKENS = ["%064x" % index for index in range(3)]


class Recording(Backend):
    """The dummy, which notes where it is asked to connect to."""

    error = None

    def __init__(self, **options):
        options.setdefault("push", [])
        super(Recording, self).__init__(**options)
        self.asked = []

    def get_new_connection(self, address, certificate, timeout=None):
        self.asked.append((address, certificate, timeout))
        if self.error is not None:
            raise self.error
        return super(Recording, self).get_new_connection(address, certificate, timeout)


def send_to(connection):
    return APNs(connection).send(Message(TOKENS))


def test_the_back_end_as_the_name_of_a_module():
    """Its class is called Backend and gets the options untouched."""
    session = Session(pool="apnsclient.backends.dummy", push=[8], pool_size=3)
    assert type(session.pool) is Backend
    assert session.pool.push == [8]
    assert session.pool.pool_size == 3
    assert send_to(session.get_connection(cert_string="x")).failed


def test_the_back_end_as_a_class():
    """Also with options."""
    session = Session(pool=Recording, push=[8], pool_size=None, use_cache_for_reconnects=False)
    assert type(session.pool) is Recording
    assert session.pool.pool_size is None
    assert session.pool.use_cache_for_reconnects is False


def test_the_back_end_as_an_instance():
    """It is used as it is, and takes no options any more."""
    backend = Recording()
    assert Session(pool=backend).pool is backend
    with pytest.raises(TypeError, match="instance.*pool_size"):
        Session(pool=backend, pool_size=3)


def test_options_that_the_class_does_not_know():
    """The error is that of the class."""
    with pytest.raises(TypeError, match="colour"):
        Session(pool=Backend, push=[], colour="red")


@pytest.mark.parametrize("name", ["apnsclient.backends.nonsense", "nonsense.backend", u"nonsense"])
def test_a_module_that_does_not_exist_is_named(name):
    """In the text of an ImportError."""
    with pytest.raises(ImportError, match=name):
        Session(pool=name)


def test_a_module_without_the_class_is_named():
    """The class must be called Backend."""
    with pytest.raises(ImportError, match="apnsclient.errors.*Backend"):
        Session(pool="apnsclient.errors")


def test_a_module_that_cannot_be_imported_for_its_own_reasons(tmpdir, monkeypatch):
    """Both names are in the text: that of the module, and of what it is missing."""
    tmpdir.join("broken_back_end.py").write("import not_installed_at_all\n")
    monkeypatch.syspath_prepend(str(tmpdir))
    with pytest.raises(ImportError) as caught:
        Session(pool="broken_back_end")
    assert "broken_back_end" in str(caught.value)
    assert "not_installed_at_all" in str(caught.value)


def test_a_missing_package_is_told_once(monkeypatch):
    """With the command that installs it, and the name of the back-end only once."""
    monkeypatch.delitem(sys.modules, "apnsclient.backends.gevent", raising=False)
    monkeypatch.setitem(sys.modules, "gevent", None)
    with pytest.raises(ImportError) as caught:
        Session(pool="apnsclient.backends.gevent")
    told = str(caught.value)
    assert told.startswith("the back-end apnsclient.backends.gevent needs a package")
    assert told.endswith("pip install gevent")
    assert told.count("back-end") == 1


def test_a_back_end_of_ones_own_module(monkeypatch):
    """Any importable module will do."""
    module = types.ModuleType("a_back_end_of_ones_own")
    module.Backend = Recording
    monkeypatch.setitem(sys.modules, "a_back_end_of_ones_own", module)
    assert type(Session("a_back_end_of_ones_own").pool) is Recording


@each("name, address", sorted(ADDRESSES.items()))
@each("method", ["get_connection", "new_connection"])
def test_names_stand_for_apples_hosts(name, address, method):
    """Also the name that the documents misspell."""
    backend = Recording()
    session = Session(backend, connect_timeout=7)
    send_to(getattr(session, method)(name, cert_string="x"))
    assert backend.asked == [(address, Certificate(cert_string="x"), 7)]


def test_the_default_addresses():
    """Push for the cached connection, feedback for the other."""
    backend = Recording()
    session = Session(backend)
    send_to(session.get_connection(cert_string="x"))
    send_to(session.new_connection(cert_string="x"))
    assert [entry[0] for entry in backend.asked] == [
        ADDRESSES["push_sandbox"], ADDRESSES["feedback_sandbox"]]


@pytest.mark.parametrize("address", [("localhost", 1), ["localhost", 1], (u"localhost", 1)])
def test_an_address_of_ones_own(address):
    """Host and port, as a tuple or a list."""
    backend = Recording()
    send_to(Session(backend).get_connection(address, cert_string="x"))
    assert backend.asked[0][0] == ("localhost", 1)


@each("address", [
    "push", "", "localhost:2195", None, (), ("localhost",), ("localhost", "2195"), (1, "localhost"),
    ("localhost", 1, 2), 5, ("localhost", None), ("localhost", 1.5)])
def test_any_other_address_lists_the_names(address):
    """The error has what was given and what was expected."""
    session = Session(Recording())
    for method in (session.get_connection, session.new_connection):
        with pytest.raises(ValueError) as caught:
            method(address, cert_string="x")
        assert repr(address) in str(caught.value)
        for name in ADDRESSES:
            assert (name in str(caught.value)) == (name != "push_sanbox")


def test_a_handle_is_lazy():
    """Nothing is connected before something is sent."""
    backend = Recording()
    session = Session(backend)
    connection = session.get_connection(cert_string="x")
    APNs(connection)
    assert backend.asked == []
    send_to(connection)
    send_to(connection)
    assert len(backend.asked) == 1


def test_a_new_connection_is_closed_after_use():
    """And opened for the next."""
    backend = Recording()
    connection = Session(backend).new_connection("push_sandbox", cert_string="x")
    send_to(connection)
    send_to(connection)
    assert len(backend.asked) == 2


def test_a_certificate_instead_of_its_arguments():
    """One of the two, not both."""
    backend = Recording()
    session = Session(backend)
    certificate = Certificate(cert_string="x")
    send_to(session.get_connection(certificate=certificate))
    assert backend.asked[0][1] is certificate
    with pytest.raises(TypeError, match="cert_file, passphrase"):
        session.get_connection(certificate=certificate, passphrase="secret", cert_file="x")
    with pytest.raises(TypeError) as caught:
        session.get_connection(certificate=certificate, passphrase="secret")
    assert "secret" not in str(caught.value)


@each("protocol", ["binary", "http2"])
@each("thing", ["-----BEGIN secret", b"push.pem", 5, object()])
def test_what_is_no_certificate_is_refused(thing, protocol):
    """At once, not with the first message; a text may be a key, and is not shown."""
    session = Session(protocol=protocol)
    for method in session.get_connection, session.new_connection:
        with pytest.raises(TypeError, match="expected a certificate.*cert_string") as caught:
            method("push_sandbox", thing)
        assert "secret" not in str(caught.value)


def test_all_arguments_of_a_certificate_reach_its_loader():
    """The key file among them."""
    seen = []

    class Noting(Certificate):
        def load_context(self, **arguments):
            seen.append(arguments)
            return super(Noting, self).load_context(**arguments)

    class Own(Recording):
        def get_certificate(self, cert_params):
            return Noting(**cert_params)

    arguments = dict(cert_string="a", cert_file="b", key_string="c", key_file="d", passphrase="e")
    Session(Own()).get_connection(**arguments)
    assert seen == [arguments]


@each("method", ["get_connection", "new_connection"])
def test_none_and_an_empty_text_are_not_given(method):
    """Programs hand over what their configuration has, or has not."""
    nothing = {"cert_file": "", "key_string": u"", "key_file": None, "passphrase": b"",
               "key_id": None, "team_id": ""}
    certificate = Certificate(cert_string="x")
    for session in Session(Recording()), Session():
        assert getattr(session, method)(("localhost", 1), certificate, **nothing).address
    handle = getattr(Session(Recording()), method)(cert_string="x", **nothing)
    assert handle.certificate == certificate


@each("given", [{"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}, {"team_id": "DEF123GHIJ"}])
@each("protocol", ["binary", "http2"])
@each("certificate", ["cert_string", "cert_file"])
def test_a_certificate_and_a_provider_token_do_not_go_together(given, protocol, certificate):
    """The error says which arguments are for which."""
    with pytest.raises(TypeError) as caught:
        Session(protocol=protocol).get_connection(**dict(given, **{certificate: "secret"}))
    assert str(caught.value) == (
        "there are arguments for a certificate (%s) and for a provider token (%s): give one of "
        "the two" % (certificate, ", ".join(sorted(given))))


@each("method", ["get_connection", "new_connection"])
@each("arguments", [("push_sandbox",), (), ("push_sandbox", None)])
def test_methods_called_on_the_class_say_what_to_do(method, arguments):
    """The form of apns-client 0.1 had no session."""
    with pytest.raises(TypeError) as caught:
        getattr(Session, method)(*arguments, cert_file="sandbox.pem")
    assert "Session().%s(" % method in str(caught.value)
    session = Session(Recording())
    handle = getattr(Session, method)(session, ("localhost", 1), cert_string="x")
    assert handle.address == ("localhost", 1)

    class Own(Session):
        def get_connection(self, *arguments, **options):
            return super(Own, self).get_connection(*arguments, **options)

    assert getattr(Own(Recording()), method)(cert_string="x").session
    assert getattr(Session, method).__name__ == method and getattr(Session, method).__doc__


def test_everything_imported_is_the_public_classes():
    """The version of the importing module stays its own."""
    names = {"__version__": "1.0", "__name__": "program"}
    six.exec_("from apnsclient import *", names)
    assert names.pop("__version__") == "1.0"
    del names["__builtins__"], names["__name__"]
    assert sorted(names) == ["APNs", "Message", "ProviderToken", "Result", "Session"]
    assert apnsclient.__version__


def test_what_freezes_programs_finds_the_default_back_end(tmpdir):
    """Only what is imported by a statement is seen: by modulefinder as by PyInstaller."""
    program = tmpdir.join("program.py")
    program.write("from apnsclient import *\n\nSession()\n")
    root = os.path.dirname(os.path.dirname(os.path.abspath(apnsclient.__file__)))
    with warnings.catch_warnings():
        # On some interpreters it imports what is deprecated, as on 3.6 "imp".
        warnings.simplefilter("ignore")
        import modulefinder
        finder = modulefinder.ModuleFinder(path=[root])
        finder.run_script(str(program))
    for name in ("transport", "backends.stdio", "sync.http2", "sending.http2", "feedback_store"):
        assert "apnsclient." + name in finder.modules
    missing, _ = finder.any_missing_maybe()
    assert not [name for name in missing if name.startswith("apnsclient")]


def test_an_argument_that_certificates_do_not_have():
    """The error is that of the class."""
    with pytest.raises(TypeError, match="cert_strnig"):
        Session(Recording()).get_connection(cert_strnig="x")


@pytest.mark.parametrize("protocol", ["http3", "http", ""])
def test_a_protocol_that_is_not_there(protocol):
    """The error has what was given and what is known."""
    with pytest.raises(ValueError) as caught:
        Session(Recording(), protocol=protocol)
    assert repr(protocol) in str(caught.value)
    assert "binary" in str(caught.value)


@pytest.mark.parametrize("name", ["write_buffer_size", "read_buffer_size"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_buffer_has_at_least_one_byte(name, size):
    """The error has name and value."""
    with pytest.raises(ValueError, match="%s is %d" % (name, size)):
        Session(Recording(), **{name: size})


@pytest.mark.parametrize("size", [-1, -5])
def test_a_pool_size_is_not_negative(size):
    """None and 0 have a meaning of their own."""
    with pytest.raises(ValueError, match="pool_size is %d" % size):
        Session(Recording, pool_size=size)


@pytest.mark.parametrize("name, address", sorted(ADDRESSES.items()))
def test_apples_retired_hosts_are_called_so(name, address):
    """When a connection cannot be had: that Apple retired them, and what to set."""
    backend = Recording()
    backend.error = ConnectError("no such host")
    session = Session(backend)
    for where in (name, address):
        backend.error = ConnectError("no such host")
        with pytest.raises(ConnectError) as caught:
            send_to(session.get_connection(where, cert_string="x"))
        assert str(caught.value).startswith("no such host. ")
        for part in (address[0], "Apple", "2021", "ALPN", "HTTP/2"):
            assert part in str(caught.value)
        with pytest.raises(ConnectError, match="2021"):
            next(APNs(session.new_connection(where, cert_string="x")).feedback())


def test_it_is_logged_where_the_back_ends_exception_is_its_own(caplog):
    """Once; and nothing of other hosts."""
    backend = Recording()
    backend.error = socket.gaierror(socket.EAI_NONAME, "no such host")
    session = Session(backend)
    for where in (("localhost", 2195), "push_sandbox", "push_sandbox"):
        with pytest.raises(socket.gaierror) as caught:
            send_to(session.get_connection(where, cert_string="x"))
        assert caught.value is backend.error
    told, = caplog.records
    for part in ("gateway.sandbox.push.apple.com", "Apple", "2021", "ALPN", "HTTP/2"):
        assert part in told.getMessage()


def test_other_hosts_are_not():
    """Whoever runs a gateway of their own has no business with Apple's."""
    backend = Recording()
    backend.error = ConnectError("no such host")
    with pytest.raises(ConnectError) as caught:
        send_to(Session(backend).get_connection(("localhost", 2195), cert_string="x"))
    assert str(caught.value) == "no such host"


def test_exceptions_of_a_back_end_pass_through():
    """Whatever it raises when it cannot connect."""
    backend = Recording()
    backend.error = KeyError("its own")
    with pytest.raises(KeyError):
        send_to(Session(backend).get_connection(cert_string="x"))
    with pytest.raises(KeyError):
        next(APNs(Session(backend).new_connection(cert_string="x")).feedback())


def test_sizes_and_timeouts_reach_the_connection():
    """Each call gets its own."""
    calls = []

    class Noting(Backend):
        def get_new_connection(self, address, certificate, timeout=None):
            calls.append(("connect", timeout))
            connection = super(Noting, self).get_new_connection(address, certificate, timeout)
            real_write, real_read = connection.write, connection.read

            def write(data, timeout):
                calls.append(("write", len(data) >= 70, timeout))
                return real_write(data, timeout)

            def read(size, timeout):
                calls.append(("read", size, timeout))
                return real_read(size, timeout)

            connection.write, connection.read = write, read
            return connection

    options = dict(connect_timeout=1, write_buffer_size=70, write_timeout=2, read_buffer_size=300,
                   read_timeout=3, read_tail_timeout=4)
    session = Session(Noting(push=[]), **options)
    send_to(session.get_connection(cert_string="x"))
    assert calls[:4] == [("connect", 1)] + [("write", True, 2)] * 3
    assert calls[4][0] == "read" and 3 < calls[4][2] <= 4
    del calls[:]
    session = Session(Noting(feedback=1), **options)
    list(APNs(session.new_connection(cert_string="x")).feedback())
    assert calls == [("connect", 1), ("read", 300, 3), ("read", 300, 3)]


def test_outdate_and_shutdown_close_what_is_idle():
    """Connections that have been used lately stay with outdate()."""
    backend = Recording()
    session = Session(backend)
    connection = session.get_connection(cert_string="x")
    send_to(connection)
    session.outdate(datetime.timedelta(hours=1))
    send_to(connection)
    assert len(backend.asked) == 1
    session.shutdown()
    send_to(connection)
    assert len(backend.asked) == 2


def test_a_handle_keeps_its_session_alive():
    """The session may go out of scope before it."""
    backend = Recording()
    connection = Session(backend).get_connection(cert_string="x")
    send_to(connection)
    send_to(connection)
    assert len(backend.asked) == 1


def test_representations_tell_no_secret():
    """They may go into a log."""
    session = Session(Recording())
    connection = session.get_connection(("localhost", 7), cert_string="cert", passphrase="secret")
    assert repr(session) == (
        "<Session over test_session_arguments: 0 idle, 0 in use, 0 callers waiting>")
    assert repr(Session(Recording(), protocol="binary")) == (
        "<Session with binary over test_session_arguments: 0 idle>")
    assert repr(connection) == "<Connection to localhost:7 over binary: 0 idle>"
    assert "secret" not in repr(connection.certificate)
    assert "cert" not in repr(connection.certificate).replace("Certificate", "").split(".")[-1]


def test_base_classes_name_the_method_that_is_missing():
    """An author learns what is left to do."""
    backend = BaseBackend()
    connection = BaseConnection(("h", 1), None)
    for owner, method, arguments in [
            (backend, "get_certificate", ({},)), (backend, "create_lock", ()),
            (backend, "get_new_connection", (("h", 1), None)), (connection, "reset", ()),
            (connection, "peek", (1,)), (connection, "read", (1, 1)),
            (connection, "write", (b"", 1)),
            (connection, "close", ()), (connection, "closed", ())]:
        with pytest.raises(NotImplementedError, match=method):
            getattr(owner, method)(*arguments)

    class Loads(BaseCertificate):
        def load_context(self, **arguments):
            return None, b""

    class Whole(Loads):
        equality_check = None

    for kind, method in [(BaseCertificate, "load_context"), (Loads, "dump_digest"),
                         (Whole, "dump_certificate")]:
        with pytest.raises(NotImplementedError, match=method):
            kind()
    assert not issubclass(NotImplementedError, APNsError)


@each("name", ["connect_timeout", "write_timeout", "read_timeout"])
@each("value", [0, -1, "x", ()])
def test_a_timeout_that_cannot_be_kept_is_refused(name, value):
    """The message names the argument, the value, and what was expected."""
    with pytest.raises(ValueError) as caught:
        Session("apnsclient.backends.dummy", push=[], **{name: value})
    assert str(caught.value).startswith("%s is %r, expected seconds above 0" % (name, value))


@pytest.mark.parametrize("value", [None, -0.1, "x"])
def test_a_wait_for_silence_has_an_end(value):
    """Without one a message would never count as delivered."""
    with pytest.raises(ValueError) as caught:
        Session("apnsclient.backends.dummy", push=[], read_tail_timeout=value)
    assert "read_tail_timeout is %r" % (value,) in str(caught.value)


@pytest.mark.parametrize("pool", [5, None, object, object()])
def test_what_is_no_back_end_is_refused(pool):
    """The error comes with the session, not with the first message."""
    with pytest.raises(TypeError) as caught:
        Session(pool)
    assert "expected the name of a module" in str(caught.value)


def test_an_unknown_argument_for_a_certificate_is_named():
    """The message says which arguments there are."""
    with pytest.raises(TypeError) as caught:
        Session().get_connection("push_sandbox", cert_sting="x")
    assert "no argument cert_sting" in str(caught.value) and "cert_string" in str(caught.value)
