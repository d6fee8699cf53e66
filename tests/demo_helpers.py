"""What asks the page to draw on: shared by its tests."""

from __future__ import annotations

import base64
import http.client
import json

import numpy as np

from symconv.nn import checkpoint


def save(path, model, **metadata):
    checkpoint.save(path, model.get_weights(), spec=model.spec(), metadata=metadata)
    return path


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
