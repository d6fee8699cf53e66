"""The page to draw on, without a browser: what the server answers and what it refuses."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time

import numpy as np
import pytest
from demo_helpers import ask, look, picture, request, unpack

import symconv as sc
from symconv.demo import Demo, Server, server
from symconv.demo.app import MOST_BODY
from symconv.errors import ConfigError, OutputError

pytest_plugins = ["demo_fixtures"]


def test_pages_need_nothing_from_outside(running):
    texts = {}
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, headers, body = ask(running, "GET", path)
        assert status == 200 and headers.get_content_type() == kind
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and "Python" not in headers["Server"]
        texts[path] = body.decode("utf-8")
        assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", texts[path]), path
        head = ask(running, "HEAD", path)
        assert head[0] == 200 and head[2] == b"" and head[1]["Content-Length"] == str(len(body))
    page = texts["/"]
    assert set(re.findall(r'(?:href|src)="([^"]*)"', page)) == {"data:,", "page.css", "page.js"}
    assert "style=" not in page and "<script>" not in page and " on" + "click" not in page
    assert "touch-action:none" in texts["/page.css"] and "prefers-color-scheme:dark" in texts["/page.css"]
    for name in set(re.findall(r'\$\("([\w-]+)"\)', texts["/page.js"])):
        assert f'id="{name}"' in page, name


def test_nets_and_digits(running, digits, weights):
    _, headers, body = ask(running, "GET", "/api/nets")
    (net,) = json.loads(body)["nets"]
    assert headers.get_content_type() == "application/json"
    assert net["name"] == str(weights) and net["classes"][3] == "longer" and net["size"] == [20, 24]
    assert net["parameters"] == 3 * 25 + 3 + 4 * 27 + 4 + 4 * 4 + 4 * 4 * 5 * 7 + 7 + 7 * 4 + 4
    found = json.loads(ask(running, "GET", "/api/digit?index=4")[2])
    assert (found["index"], found["label"], found["count"]) == (4, "0", 5)
    want = np.load(digits)["x_test"][4] / 256
    np.testing.assert_allclose(unpack(found["image"]), want, atol=1e-3)


@pytest.mark.parametrize("index", ["5", "-1", "1.5", "x", "", "1" * 30, "٣", "0&index=9"])
def test_digits_that_are_not_there(running, index):
    from urllib.parse import quote

    status, _, body = ask(running, "GET", f"/api/digit?index={quote(index, safe='&=')}")
    assert status == 400 and "from 0 to 4" in json.loads(body)["error"]


def test_without_a_test_set_only_the_digits_are_missing(weights, tmp_path, monkeypatch):
    demo = Demo([weights], data=tmp_path / "nowhere", device="reference")
    with Server(demo) as found:
        threading.Thread(target=found.serve_forever, args=[0.01], daemon=True).start()
        status, _, body = ask(found, "GET", "/api/digit?index=0")
        assert status == 503 and "no such file or directory" in json.loads(body)["error"]
        assert look(found, picture())["answer"] is not None
        found.shutdown()


def test_mnist_is_never_downloaded(weights, monkeypatch):
    asked = []
    monkeypatch.setattr(sc.datasets, "mnist", lambda **options: asked.append(options) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Demo([weights], device="reference").digits()
    assert asked[0]["download"] is False


@pytest.mark.parametrize(
    "body, words",
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "net must be a whole number from 0 to 0"),
        (request(picture(), net=1), "net must be"),
        (request(picture(), net=-1), "net must be"),
        (request(picture(), net=True), "net must be"),
        (request(picture(), width=0), "width must be"),
        (request(picture(), width=60.0), "width must be"),
        (request(picture(), height=10**9), "height must be"),
        (request(picture(), width=59), "pixels hold 4200 bytes"),
        (request(picture(), pixels=[0] * 4200), "pixels must be a string"),
        (request(picture(), pixels="é"), "not base64"),
        (request(picture(), pixels="AA=A"), "not base64"),
        (request(picture(), pixels="AA\n AA"), "not base64"),
    ],
)
def test_requests_that_are_no_drawing(running, body, words):
    status, _, answer = ask(running, "POST", "/api/look", body, content_type="application/json")
    assert status == 400 and words in json.loads(answer)["error"]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../page.html", "/%2e%2e/server.py", "/page.css/", "//page.css", "/api/", "/demo/page.html",
     "/etc/passwd", "/page.js%00", "/./page.js"],
)  # fmt: skip
def test_only_what_is_served_is_served(running, path):
    status, _, body = ask(running, "GET", path)
    if path == "//page.css":  # http.server takes the two for one: the page itself
        assert status == 200
        return
    assert status == 404 and "error" in json.loads(body)


def test_methods(running):
    status, headers, _ = ask(running, "POST", "/", b"{}", content_type="application/json")
    assert status == 405 and headers["Allow"] == "GET"
    status, headers, _ = ask(running, "GET", "/api/look")
    assert status == 405 and headers["Allow"] == "POST"
    assert ask(running, "DELETE", "/")[0] == 501


def test_requests_of_other_sites_are_refused(running):
    """Another site's page may not ask, under whatever name it found this server."""
    own = f"127.0.0.1:{running.server_port}"
    body, kind = request(picture()), {"content_type": "application/json"}
    for host in ("evil.example", f"evil.example:{running.server_port}", "127.0.0.1", "127.0.0.1:1", ""):
        for method, path in (("GET", "/"), ("GET", "/api/nets"), ("POST", "/api/look")):
            assert ask(running, method, path, body, host=host, **kind)[0] == 403, host
    for origin in (
        "http://evil.example",
        "null",
        f"https://{own}",
        "http://127.0.0.1:1",
        f"http://{own}.evil",
    ):
        assert ask(running, "POST", "/api/look", body, origin=origin, **kind)[0] == 403, origin
    assert ask(running, "POST", "/api/look", body, sec_fetch_site="cross-site", **kind)[0] == 403
    for name in (own, f"localhost:{running.server_port}", f"LOCALHOST:{running.server_port}"):
        assert ask(running, "POST", "/api/look", body, host=name, origin=f"http://{name}", **kind)[0] == 200
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(running, "GET", "/", **link)[0] == 200, "a link to the page may be followed"
    # What a form of another site can send has another type.
    for other in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert ask(running, "POST", "/api/look", body, content_type=other)[0] == 415


def raw(running, data: bytes) -> bytes:
    """Everything that the server sends for these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", running.server_port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
        return found


def head(running, *lines: str) -> bytes:
    host = f"Host: 127.0.0.1:{running.server_port}"
    start = ["POST /api/look HTTP/1.1", host, "Content-Type: application/json"]
    return "\r\n".join([*start, *lines, "", ""]).encode()


def test_bodies_that_lie_about_their_length(running):
    body = request(picture())
    cases = {
        "no length": ([], b" 411 "),
        "chunked": (["Transfer-Encoding: chunked", f"Content-Length: {len(body)}"], b" 411 "),
        "negative": (["Content-Length: -1"], b" 411 "),
        "words": (["Content-Length: many"], b" 411 "),
        "too long": ([f"Content-Length: {MOST_BODY + 1}"], b" 413 "),
        "endless": (["Content-Length: " + "9" * 5000], b" 413 "),
    }
    for what, (lines, status) in cases.items():
        answer = raw(running, head(running, *lines) + body)
        assert answer.count(b"HTTP/1.1") == 1 and status in answer.split(b"\r\n")[0], what
        assert b"Connection: close" in answer, "what follows is not taken for a request"
    large = head(running, f"Content-Length: {10 * MOST_BODY}") + b"x" * (10 * MOST_BODY)
    assert b" 413 " in raw(running, large).split(b"\r\n")[0], (
        "the answer arrives though the body is not wanted"
    )
    assert raw(running, head(running, f"Content-Length: {len(body) + 10}") + body) == b"", "ended early"
    assert b"400" in raw(running, b"nonsense\r\n\r\n")
    host = f"Host: 127.0.0.1:{running.server_port}".encode()
    assert b" 400 " in raw(running, b"GET http://x[/ HTTP/1.1\r\n" + host + b"\r\n\r\n")
    assert look(running, picture())["answer"] is not None, "the server is still there"


def test_two_hosts_are_refused(running):
    host = f"Host: 127.0.0.1:{running.server_port}\r\n"
    answer = raw(running, f"GET / HTTP/1.1\r\n{host}{host}\r\n".encode())
    assert b" 403 " in answer.split(b"\r\n")[0]


def test_a_connection_takes_one_request_after_the_other(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.server_port, timeout=20)
    own = None
    for body, status in ((request(picture()), 200), (b"{", 400), (request(picture()), 200)):
        connection.request("POST", "/api/look", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == status and answer.read()
        own = own or connection.sock
        assert connection.sock is own, "kept open"
    connection.close()


def test_several_clients_at_once_get_their_own_answers(running):
    drawings = [picture(40 + 3 * k, 50 + k) for k in range(8)]
    want = [look(running, d) for d in drawings]
    found = [[] for _ in drawings]

    def client(k):
        for _ in range(5):
            found[k].append(look(running, drawings[k]))

    threads = [threading.Thread(target=client, args=[k]) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    for answers, right in zip(found, want):
        assert len(answers) == 5
        for a in answers:
            assert a["certainty"] == right["certainty"] and a["layers"] == right["layers"]


def test_too_many_connections_are_turned_away_and_silent_ones_closed(weights, monkeypatch, capsys):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server.Handler, "timeout", 1.0)
    with Server(Demo([weights], device="reference")) as found:
        threading.Thread(target=found.serve_forever, args=[0.01], daemon=True).start()
        idle = [socket.create_connection(("127.0.0.1", found.server_port), timeout=20) for _ in range(3)]
        idle[0].sendall(b"GET / HT")
        idle[1].sendall(head(found, "Content-Length: 100") + b"{")
        time.sleep(0.1)
        with pytest.raises(OSError):
            ask(found, "GET", "/")
        assert [connection.recv(1) for connection in idle] == [b""] * 3, "closed after the time allowed"
        assert ask(found, "GET", "/")[0] == 200
        for connection in idle:
            connection.close()
        found.shutdown()
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_server_is_answered_and_told(running, monkeypatch, capsys):
    monkeypatch.setattr(running.demo, "list_nets", lambda: 1 / 0)
    status, _, body = ask(running, "GET", "/api/nets")
    assert status == 500 and b"ZeroDivision" not in body
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_hosts_that_are_not_this_machine_are_refused(weights):
    demo = Demo([weights], device="reference")
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org", "", "127.0.0.1.evil.example", "2130706433"):
        with pytest.raises(ConfigError, match="on this machine alone"):
            Server(demo, host)
    with Server(demo, "localhost") as found:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", found.url)
    if socket.has_ipv6:
        try:
            with Server(demo, "::1") as found:
                assert found.url == f"http://[::1]:{found.server_port}/"
        except OutputError:
            pass  # switched off on this machine


def test_a_port_that_is_taken_is_named(weights):
    demo = Demo([weights], device="reference")
    with Server(demo) as first:
        with pytest.raises(OutputError, match=f"port {first.server_port}: .*in use\n.*--port 0"):
            Server(demo, port=first.server_port)
    with Server(demo, port=first.server_port):
        pass  # free again
    with pytest.raises(ConfigError, match="0 to 65535"):
        Server(demo, port=70000)
