"""The page over HTTP, on this machine alone.

A web page of another site can send requests to a server on the reader's own machine, and by changing what
its host name stands for (DNS rebinding) even read the answers. So a request must name this server as its
Host, must come from this page if it says where it comes from, and must carry JSON, which another site may not
send.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import threading
import time
import traceback
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from symconv.demo.app import MOST_BODY, Demo, Refusal
from symconv.errors import ConfigError, OutputError
from symconv.files import reason

# The files that each page is made of: it looks like the page of `symconv explain --html`.
PAGES = {
    "/": (["demo/page.html"], "text/html; charset=utf-8"),
    "/page.css": (["see/page.css", "demo/page.css"], "text/css; charset=utf-8"),
    "/page.js": (["demo/page.js"], "text/javascript; charset=utf-8"),
}
METHODS = {**dict.fromkeys(PAGES, "GET"), "/api/nets": "GET", "/api/digit": "GET", "/api/look": "POST"}
HEADERS = {
    # Nothing from elsewhere, nothing inline, nowhere to send anything but here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_CONNECTIONS = 64
IDLE_SECONDS = 60  # a connection that says nothing for so long is closed


@cache
def page(path: str) -> bytes:
    return b"".join((files("symconv") / name).read_bytes() for name in PAGES[path][0])


def loopback(host: str) -> str:
    """The address for a host that is this machine itself. Raises ConfigError for any other."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ConfigError(
            f"host {host!r}: the page is served on this machine alone\n"
            "  allowed: localhost, 127.0.0.1, ::1\n"
            "  hint: to see it from another machine, forward the port: ssh -L 7840:localhost:7840 HOST"
        )
    return str(address)


class Server(ThreadingHTTPServer):
    """The page on http://host:port/; port 0 takes a free one. A thread for each connection.

    Raises ConfigError for a host that is not this machine, OutputError for a port that cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # or a second server would share the port in silence

    def __init__(self, demo: Demo, host: str = "127.0.0.1", port: int = 0) -> None:
        self.demo = demo
        address = loopback(host)
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            super().__init__((address, port), Handler)
        except OverflowError as why:
            raise ConfigError(f"port {port}: a port is a whole number from 0 to 65535") from why
        except OSError as why:
            raise OutputError(
                f"cannot listen on {address}, port {port}: {reason(why)}\n"
                "  hint: choose another with --port; --port 0 takes a free one"
            ) from why
        shown = f"[{address}]" if ":" in address else address
        self.url = f"http://{shown}:{self.server_port}/"
        names = {shown, "localhost"}
        self.hosts = {f"{name}:{self.server_port}" for name in names}
        if self.server_port == 80:  # browsers leave it out
            self.hosts |= names

    def server_bind(self) -> None:
        # HTTPServer's would look up the machine's full name: seconds where there is no name server.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(blocking=False):
            self.shutdown_request(request)  # too many at once: this one may come again
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):  # the reader has left
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "symconv", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    server: Server
    allow = "GET"
    body_read = False

    def do_GET(self) -> None:
        self.respond("GET")

    def do_HEAD(self) -> None:
        self.respond("GET")

    def do_POST(self) -> None:
        self.respond("POST")

    def respond(self, method: str) -> None:
        try:
            self.send(200, *self.answer(method))
        except Refusal as why:
            self.refuse(why.status, str(why))
        except (ConnectionError, TimeoutError):
            raise  # the reader has left: there is nobody to answer
        except Exception:
            traceback.print_exc()
            self.refuse(500, "the server failed; its terminal says how")

    def answer(self, method: str) -> tuple[bytes, str]:
        """(body, type) of the answer. Raises Refusal."""
        self.check_origin()
        try:
            target = urlsplit(self.path)
        except ValueError as why:
            raise Refusal(400, f"not an address: {why}") from why
        path = target.path
        if path not in METHODS:
            raise Refusal(404, "there is nothing here")
        if METHODS[path] != method:
            self.allow = METHODS[path]
            raise Refusal(405, f"{path} takes {self.allow} alone")
        if path in PAGES:
            return page(path), PAGES[path][1]
        demo = self.server.demo
        if path == "/api/look":
            found = demo.look(self.read_body())
        elif path == "/api/digit":
            found = demo.digit(dict(parse_qsl(target.query)))
        else:
            found = demo.list_nets()
        return json.dumps(found).encode(), "application/json"

    def check_origin(self) -> None:
        """Refuse what was not meant for this server, and what another site's page sends."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise Refusal(403, f"this is {self.server.url}; asked for was {', '.join(hosts) or 'no host'}")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            raise Refusal(403, f"requests from {origin} are not answered")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            if self.headers.get("Sec-Fetch-Mode") != "navigate":  # a link to the page may be followed
                raise Refusal(403, "requests from other sites are not answered")

    def read_body(self) -> bytes:
        if self.headers.get_content_type() != "application/json":
            raise Refusal(415, "the request must be application/json")
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            raise Refusal(411, "the request must say its Content-Length")
        if len(length) > 12 or int(length) > MOST_BODY:
            raise Refusal(413, f"the request is larger than {MOST_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the request ended early")
        self.body_read = True
        return body

    def refuse(self, status: int, words: str) -> None:
        # What the request still holds unread must not be taken for the next one.
        unread = self.command == "POST" and not self.body_read
        self.close_connection = self.close_connection or unread
        self.send(status, json.dumps({"error": words}).encode(), "application/json")
        if unread:
            self.linger()

    def linger(self) -> None:
        """Take in what is still sent, for a moment: to close at once would reset the connection, and the
        other side would lose the answer."""
        end, left = time.monotonic() + 2, 16 * MOST_BODY
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (rest := end - time.monotonic()) > 0:
                self.connection.settimeout(rest)
                part = self.connection.recv(1 << 16)
                if not part:
                    return
                left -= len(part)
        except OSError:
            pass

    def send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status == 405:
            self.send_header("Allow", self.allow)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        self.body_read = False

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for every stroke helps nobody."""


def serve(server: Server) -> None:
    """Answer until Ctrl-C (KeyboardInterrupt, which ends it quietly); the port is free afterwards."""
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
