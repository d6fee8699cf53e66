"""The page to draw on, without a browser: what the server answers, what it refuses, what a net shows."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import symconv as sc
from symconv import nn
from symconv.cli import main
from symconv.datasets import centred
from symconv.demo import Demo, Server, server
from symconv.demo.app import MOST_BODY, MOST_SIDE
from symconv.demo.field import fields
from symconv.demo.net import DemoNet
from symconv.errors import ConfigError, OutputError, WeightsError
from symconv.nn import checkpoint

LAYERS = [
    nn.Conv(3, 5, "relu", stride=2),
    nn.Pool(2),
    nn.Conv(4, 3, "tanh", padding="same", groups=1),
    nn.BatchNorm(),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Dense(7, "sigmoid"),
    nn.Dense(4),
]


def save(path, model, **metadata):
    checkpoint.save(path, model.get_weights(), spec=model.spec(), metadata=metadata)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = nn.Sequential(LAYERS, (1, 20, 24), seed=3)
    return save(tmp_path_factory.mktemp("demo") / "small.npz", model, classes=["a", "b", "c", "longer"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    images = rng.integers(0, 256, (6, 20, 24)).astype("uint8")
    labels = np.arange(6) % 4
    np.savez(path, x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    return path


@pytest.fixture(scope="module")
def running(weights, digits):
    with Server(Demo([weights], data=digits, device="reference")) as found:
        thread = threading.Thread(target=found.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield found
        found.shutdown()


def ask(running, method, path, body=None, **headers):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", running.server_port, timeout=20)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def picture(height=70, width=60):
    pixels = np.zeros((height, width), np.uint8)
    pixels[10:60, 20:30] = 255
    pixels[40:50, 15:45] = 200
    return pixels


def request(drawing, **changes):
    fields = {
        "net": 0,
        "width": drawing.shape[1],
        "height": drawing.shape[0],
        "pixels": base64.b64encode(drawing.tobytes()).decode(),
    }
    return json.dumps({**fields, **changes}).encode()


def look(running, pixels):
    status, _, body = ask(running, "POST", "/api/look", request(pixels), content_type="application/json")
    assert status == 200, body
    return json.loads(body)


def unpack(packed):
    values = np.frombuffer(base64.b64decode(packed["values"]), np.uint8).reshape(packed["shape"])
    return packed["low"] + values / 255 * (packed["high"] - packed["low"])


# -- what a drawing gives --------------------------------------------------------------------------


def test_look_gives_what_predict_and_layer_outputs_give(running, weights):
    found = look(running, picture())
    model = nn.load(weights)
    image = centred(picture() / np.float32(256), (20, 24), threshold=0)
    p = model.predict_proba(image.reshape(1, -1), device="reference")[0]
    np.testing.assert_allclose(found["certainty"], p, rtol=1e-5)
    assert found["answer"] == p.argmax()
    np.testing.assert_allclose(unpack(found["image"]), image, atol=1 / 255)
    outputs = nn.layer_outputs(model, image.reshape(1, -1), device="reference")
    names = [layer["name"] for layer in found["layers"]]
    assert names == ["conv1", "pool1", "conv2", "batch_norm1", "dense1", "dense2"]  # what changes the values
    for layer in found["layers"]:
        want = outputs[layer["name"]][0]
        assert layer["shape"] == list(want.shape)
        step = (layer["high"] - layer["low"]) / 255
        assert np.abs(unpack(layer) - want).max() <= 0.51 * step
        assert layer["low"] == min(0, want.min()) and layer["high"] == max(0, want.max())


def test_look_names_the_strongest_filters_their_weights_and_what_they_saw(running, weights):
    found = look(running, picture())
    model = nn.load(weights)
    image = unpack(found["image"])
    outputs = nn.layer_outputs(model, image.reshape(1, -1), device="reference")
    for name, inputs in (("conv1", image[None]), ("conv2", outputs["pool1"][0])):
        maps, w = outputs[name][0], model.get_weights()[f"{name}.w"]
        fired = [f for f in found["fired"] if f["layer"] == name]
        peaks = maps.reshape(len(maps), -1).max(1)
        assert [f["filter"] for f in fired] == [k for k in np.argsort(-peaks) if peaks[k] > 0]
        for f in fired:
            assert f["value"] == pytest.approx(peaks[f["filter"]], abs=0.02)
            weight = np.sqrt((w[f["filter"]] ** 2).sum((1, 2))) * np.abs(inputs).mean((1, 2))
            assert f["channel"] == weight.argmax() and f["channels"] == len(inputs)
            want = w[f["filter"], f["channel"]]
            np.testing.assert_allclose(unpack(f["kernel"]), want, atol=np.abs(want).max() / 200)
    # The framed pixels are those that the unit depends on: others may change, these may not.
    f = found["fired"][0]
    top, left, height, width = f["field"]
    assert (height, width) == (5, 5)
    inside = np.zeros_like(image)
    inside[top : top + height, left : left + width] = 1
    alone = nn.layer_outputs(model, (image * inside).reshape(1, -1), device="reference")["conv1"][0]
    unit = (f["filter"], *f["unit"])
    assert alone[unit] == pytest.approx(outputs["conv1"][0][unit], abs=1e-5)


def test_fields_hold_every_pixel_that_a_unit_depends_on():
    layers = [
        nn.Conv(2, (3, 5), stride=(2, 1), padding=1, dilation=(2, 1)),
        nn.Activate("tanh"),
        nn.Pool(3, "avg", stride=2),
        nn.Conv(2, 3, padding="same"),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(3),
    ]
    model = nn.Sequential(layers, (1, 21, 17), seed=0)
    rng = np.random.default_rng(1)
    image = rng.normal(size=(21, 17)).astype("float32")
    plain = nn.layer_outputs(model, image, device="reference")
    found = fields(model.layers)
    assert found[-2:] == [None, None] and all(found[:-2])
    for layer, field in zip(model.layers[:5], found):
        rows, columns = plain[layer.name].shape[2:]
        unit = (rows // 2, columns - 1)
        top, left, height, width = field.box(unit, (21, 17))
        inside = np.zeros((21, 17), bool)
        inside[top : top + height, left : left + width] = True
        noise = rng.normal(size=(21, 17)).astype("float32")
        here = (0, slice(None), *unit)
        for changed, same in (((image, noise), True), ((noise, image), False)):
            value = nn.layer_outputs(model, np.where(inside, *changed), device="reference")[layer.name]
            assert np.array_equal(value[here], plain[layer.name][here]) == same, layer.name
        # Nor is the field too large: its first and last rows and columns count.
        for edge in ((top, slice(None)), (top + height - 1, slice(None)), (slice(None), left)):
            changed = image.copy()
            changed[edge] += 1
            value = nn.layer_outputs(model, changed, device="reference")[layer.name]
            assert not np.array_equal(value[here], plain[layer.name][here]), layer.name


def test_the_books_layers_and_groups_show_their_filters(tmp_path):
    book = nn.Network(
        [
            nn.ConvPoolLayer((3, 1, 5, 5), (10, 1, 28, 28), (2, 2), "relu"),
            nn.ConvPoolLayer((4, 3, 5, 5), (10, 3, 12, 12), (2, 2), "relu"),
            nn.FullyConnectedLayer(64, 10, "relu", p_dropout=0.5),
            nn.SoftmaxLayer(10, 10),
        ],
        10,
        seed=1,
    )
    found = DemoNet(save(tmp_path / "book.npz", book), "reference").look(picture())
    assert {f["layer"]: f["kernel"]["shape"] for f in found["fired"]} == {"conv1": [5, 5], "conv2": [5, 5]}
    boxes = {f["layer"]: f["field"][2:] for f in found["fired"]}
    assert boxes["conv1"] == [6, 6] and max(boxes["conv2"]) <= 16
    groups = nn.Sequential(
        [nn.Conv(4, 3, "relu"), nn.Conv(6, 3, "relu", groups=2), nn.GlobalPool(), nn.Dense(2)],
        (1, 9, 9),
        seed=1,
    )
    for f in DemoNet(save(tmp_path / "groups.npz", groups), "reference").look(picture())["fired"]:
        if f["layer"] == "conv2":
            assert f["channel"] // 2 == f["filter"] // 3, "a filter sees its own group alone"


def test_an_empty_drawing_has_no_answer(running):
    found = look(running, np.zeros((9, 9), np.uint8))
    assert found["answer"] is None and not unpack(found["image"]).any()
    assert len(found["certainty"]) == 4 and sum(found["certainty"]) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, MOST_SIDE), (MOST_SIDE, 1), (MOST_SIDE, MOST_SIDE)])
def test_drawings_of_every_size_are_looked_at(running, shape):
    found = look(running, np.full(shape, 255, np.uint8) * (np.arange(shape[1]) % 7 > 2).astype("uint8"))
    assert np.isfinite(found["certainty"]).all()


def test_a_net_for_flat_images_and_one_without_names_of_classes(tmp_path):
    model = nn.Network([nn.FullyConnectedLayer(784, 12), nn.SoftmaxLayer(12, 5)], 10, seed=0)
    net = DemoNet(save(tmp_path / "flat.npz", model), "reference")
    assert net.size == (28, 28) and net.classes == ["0", "1", "2", "3", "4"]
    found = net.look(picture())
    assert found["fired"] == [] and [layer["shape"] for layer in found["layers"]] == [[12], [5]]


def test_nets_that_take_no_grey_images_are_refused(tmp_path):
    colour = nn.Sequential([nn.Flatten(), nn.Dense(2)], (3, 8, 8))
    with pytest.raises(WeightsError, match=r"colour.npz: its net takes images \[3, 8, 8\]"):
        DemoNet(save(tmp_path / "colour.npz", colour), "reference")
    wide = nn.Sequential([nn.Dense(2)], (50,))
    with pytest.raises(WeightsError, match=r"takes images \[50\]"):
        DemoNet(save(tmp_path / "wide.npz", wide), "reference")
    flat = nn.Sequential([nn.Dense(2)], (49,))
    for strange in ({"image_shape": [1, 7, 8]}, {"image_shape": 7}, {"image_shape": [49, "x"]}):
        with pytest.raises(WeightsError, match="takes images"):
            DemoNet(save(tmp_path / "flat.npz", flat, **strange), "reference")
    with pytest.raises(WeightsError, match="names .* for a net of 2 classes"):
        DemoNet(save(tmp_path / "flat.npz", flat, classes=["a"]), "reference")


def test_a_net_of_float64_is_shown_too(tmp_path):
    with sc.config(floatX="float64"):
        model = nn.Sequential([nn.Conv(2, 3, "relu"), nn.Flatten(), nn.Dense(2)], (1, 7, 7), seed=0)
        net = DemoNet(save(tmp_path / "double.npz", model), "reference")
    assert sum(net.look(picture())["certainty"]) == pytest.approx(1)


# -- the server ------------------------------------------------------------------------------------


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


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--weights", "no.safetensors"], "no.safetensors: no such weights file"),
        (["--host", "0.0.0.0"], "on this machine alone"),
    ],
)
def test_demo_explains_what_is_wrong(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("symconv.cli.demo.serve", lambda server: pytest.fail("served"))
    assert main(["demo", "--no-browser", "--device", "reference", "--port", "0", *argv]) == 2
    text = capsys.readouterr().err
    assert text.startswith("symconv demo: error: ") and words in text and "Traceback" not in text


def test_demo_refuses_ports_that_are_none(capsys):
    for port in ("-1", "65536", "http"):
        with pytest.raises(SystemExit):
            main(["demo", "--port", port])
        assert "--port" in capsys.readouterr().err


def test_demo_serves_opens_a_browser_and_ends_with_ctrl_c(weights, tmp_path):
    environment = {**os.environ, "BROWSER": str(tmp_path / "browser"), "DISPLAY": ":0"}
    (tmp_path / "browser").write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    (tmp_path / "browser").chmod(0o755)
    options = ["--port", "0", "--device", "reference", "--weights", str(weights)]
    process = subprocess.Popen(
        [sys.executable, "-m", "symconv", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert url, line + process.stderr.read()
        connection = http.client.HTTPConnection("127.0.0.1", int(url[1]), timeout=20)
        connection.request("GET", "/api/nets")
        nets = json.loads(connection.getresponse().read())["nets"]
        assert [net["name"] for net in nets] == [str(weights), "the one that ships with symconv"]
        end = time.monotonic() + 20
        while not (tmp_path / "opened").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text().strip() == url[0]
        process.send_signal(signal.SIGINT)  # with a connection still open
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0 and out == "Ended.\n" and err == ""
        connection.close()
    finally:
        process.kill()
