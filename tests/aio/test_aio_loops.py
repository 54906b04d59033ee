"""The ground that the other tests of this folder stand on: two event loops, and a peer."""

import asyncio
import gc
import ssl

import pytest

from aio_support import bounded

pytestmark = pytest.mark.anyio


async def test_each_loop_has_its_turn(request):
    """What is asked for is what runs, and on uvloop's a test is not run twice on asyncio's."""
    name = type(asyncio.get_running_loop()).__module__.split(".")[0]

    assert name == request.node.callspec.params["anyio_backend"]


async def test_the_simulator_speaks_http2(apple, ca_file, cert_file):
    """Its files let a client in that trusts it."""
    tls = ssl.create_default_context(cafile=ca_file)
    tls.load_cert_chain(cert_file)
    tls.set_alpn_protocols(["h2"])
    host, port = apple.provider_address

    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    head = await reader.readexactly(9)
    writer.transport.abort()

    assert head[3] == 4, "a server begins with SETTINGS"


async def test_a_test_that_hangs_fails(capsys):
    """It fails on an idle loop too, and says where it is."""
    async def hang():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(AssertionError, match="had not ended"):
        await bounded(hang, 0.01)()

    assert "in hang" in capsys.readouterr().err


@pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
async def test_a_callback_that_crashes_fails_the_test():
    """The loop would only log it."""
    asyncio.get_running_loop().call_soon(lambda: 1 // 0)
    await asyncio.sleep(0)


@pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
async def test_a_task_that_nobody_awaits_fails_the_test():
    """Its exception is not lost when the task is."""
    async def crash():
        return 1 // 0

    asyncio.ensure_future(crash())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
