"""The proxy of the traps leaves nothing open: a warning of the garbage collector fails whichever test it meets."""

import gc
import socket
import sys
import threading
import time
import warnings

import pytest
from proxy import Proxy


@pytest.mark.loopback("the proxy is a server")
@pytest.mark.parametrize("disturbance", [None, "cut", "half_open", "hold", "refuse", "swallow"])
def test_nothing_is_open_after_the_end(
    monkeypatch: pytest.MonkeyPatch, disturbance: str | None
) -> None:
    gc.collect()  # what other tests have left is not meant here
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda fault: left.append(str(fault.exc_value)))
    accepted: list[socket.socket] = []
    with warnings.catch_warnings(), socket.create_server(("127.0.0.1", 0)) as server:
        warnings.simplefilter("error")
        there = threading.Thread(
            target=lambda: accepted.extend(server.accept()[0] for _ in range(3))
        )
        there.start()
        with Proxy(f"tcp://127.0.0.1:{server.getsockname()[1]}") as proxy:
            clients = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
            there.join(10)
            if disturbance:
                getattr(proxy, disturbance)()
            clients[0].close()
            time.sleep(0.1)
        for each in (*clients, *accepted):
            each.close()
        del proxy
        gc.collect()
    assert left == []
