// Takes the drawing, sends it to the server after every stroke's step, shows what comes back.
"use strict";
(function () {
  const $ = (id) => document.getElementById(id);
  const paper = $("paper"), side = paper.width;
  const ink = paper.getContext("2d", { willReadFrequently: true });
  const SENT = side / 3;  // of the drawing that is sent: larger ones take longer on the way than the net does
  const WIDTH = side * 0.08;  // of the pen: 1.6 of 20 pixels where the digit fills the paper
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let items = [];       // strokes {points}, digits {image}, and clears {}: the last that is no stroke counts
  let stroke = null;    // the one that is being drawn
  let nets = [];
  let last = null;      // the server's last answer

  // ---- the drawing: white on black; the style sheet turns it over on light pages

  function dot(p) {
    ink.beginPath();
    ink.arc(p[0], p[1], WIDTH / 2, 0, 7);
    ink.fill();
  }

  function line(a, b) {
    ink.beginPath();
    ink.moveTo(a[0], a[1]);
    ink.lineTo(b[0], b[1]);
    ink.stroke();
  }

  function redraw() {
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, side, side);
    ink.fillStyle = ink.strokeStyle = "#fff";
    ink.lineWidth = WIDTH;
    ink.lineCap = ink.lineJoin = "round";
    ink.imageSmoothingEnabled = false;
    let first = items.length;
    while (first > 0 && items[--first].points) { /* back to the last digit or clear */ }
    for (const item of items.slice(first)) {
      if (item.image) ink.drawImage(item.image, 0, 0, side, side);
      if (item.points) {
        dot(item.points[0]);
        item.points.forEach((p, k) => k && line(item.points[k - 1], p));
      }
    }
  }

  function begin(p) {
    stroke = { points: [p] };
    items.push(stroke);
    dot(p);
    look();
  }

  function go(p) {
    const points = stroke.points;
    line(points[points.length - 1], p);
    points.push(p);
    look();
  }

  function add(item) {
    items.push(item);
    stroke = null;
    redraw();
    look();
  }

  function undo() {
    stroke = null;
    items.pop();
    $("label").textContent = "";
    redraw();
    look();
  }

  function clear() {
    $("label").textContent = "";
    if (items.length && (items[items.length - 1].points || items[items.length - 1].image)) add({});
  }

  // ---- mouse, finger, pen

  let pointer = null;
  function place(event) {
    const box = paper.getBoundingClientRect();
    return [(event.clientX - box.left) * side / box.width, (event.clientY - box.top) * side / box.height];
  }
  paper.addEventListener("pointerdown", function (event) {
    if (pointer !== null || event.button !== 0) return;
    pointer = event.pointerId;
    paper.setPointerCapture(pointer);
    $("pen").hidden = true;
    begin(place(event));
  });
  paper.addEventListener("pointermove", function (event) {
    if (event.pointerId !== pointer || !stroke) return;
    const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    (steps.length ? steps : [event]).forEach((step) => go(place(step)));
  });
  ["pointerup", "pointercancel"].forEach(function (name) {
    paper.addEventListener(name, function (event) {
      if (event.pointerId === pointer) pointer = stroke = null;
    });
  });

  // ---- keyboard

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let at = [side / 2, side / 2];
  function showPen() {
    const pen = $("pen");
    pen.hidden = false;
    pen.className = stroke ? "down" : "";
    pen.style.left = 100 * at[0] / side + "%";
    pen.style.top = 100 * at[1] / side + "%";
  }
  paper.addEventListener("keydown", function (event) {
    if (pointer !== null || event.altKey || event.metaKey || event.ctrlKey) return;
    const move = MOVES[event.key];
    if (move) {
      const far = event.shiftKey ? 45 : 15;
      at = at.map((v, k) => Math.max(0, Math.min(side, v + far * move[k])));
      if (stroke) go(at);
    } else if (event.key === " ") {
      if (stroke) stroke = null; else begin(at);
    } else if (event.key === "Backspace") {
      undo();
    } else if (event.key === "Delete") {
      clear();
    } else {
      return;
    }
    event.preventDefault();
    showPen();
  });
  paper.addEventListener("blur", function () {
    $("pen").hidden = true;
    if (pointer === null) stroke = null;
  });
  document.addEventListener("keydown", function (event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target.tagName !== "INPUT") {
      event.preventDefault();
      undo();
    }
  });
  $("undo").addEventListener("click", undo);
  $("clear").addEventListener("click", clear);

  // ---- the server

  async function ask(path, request) {
    const options = request && {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request),
    };
    let answer, found;
    try {
      answer = await fetch(path, options);
      found = await answer.json();
    } catch (why) {
      throw new Error("The server does not answer. Is `symconv demo` still running?");
    }
    if (!answer.ok) throw new Error(found.error);
    return found;
  }

  function trouble(why) {
    $("trouble").hidden = !why;
    $("trouble").textContent = why ? why.message : "";
  }

  function base64(bytes) {
    let text = "";
    for (let k = 0; k < bytes.length; k += 8192) {
      text += String.fromCharCode.apply(null, bytes.subarray(k, k + 8192));
    }
    return btoa(text);
  }

  // The drawing as bytes, means of 3 by 3 pixels.
  function grey() {
    const rgba = ink.getImageData(0, 0, side, side).data, bytes = new Uint8Array(SENT * SENT);
    for (let i = 0, k = 0; i < SENT; i++) {
      for (let j = 0; j < SENT; j++, k++) {
        let sum = 0;
        for (let r = 0; r < 3; r++) {
          const at = 4 * ((3 * i + r) * side + 3 * j);
          sum += rgba[at] + rgba[at + 4] + rgba[at + 8];
        }
        bytes[k] = Math.round(sum / 9);
      }
    }
    return bytes;
  }

  // One question at a time: while it is under way, only the newest drawing waits.
  let asking = false, stale = false;
  async function look() {
    stale = true;
    if (asking || !nets.length) return;
    asking = true;
    document.body.setAttribute("aria-busy", "true");
    while (stale) {
      stale = false;
      try {
        const request = { net: +$("net").value, width: SENT, height: SENT, pixels: base64(grey()) };
        const asked = performance.now();
        last = await ask("api/look", request);
        last.whole = performance.now() - asked;
        trouble(null);
        show();
      } catch (why) {
        trouble(why);
      }
    }
    asking = false;
    document.body.setAttribute("aria-busy", "false");
  }

  async function digit(index) {
    try {
      const found = await ask("api/digit?index=" + encodeURIComponent(index));
      $("index").max = found.count - 1;
      count = found.count;
      const image = document.createElement("canvas");
      const picture = unpack(found.image);
      const [height, width] = found.image.shape;
      image.width = width;
      image.height = height;
      const data = new ImageData(width, height);
      picture.forEach((v, k) => data.data.set([v, v, v, 255], 4 * k));
      image.getContext("2d").putImageData(data, 0, 0);
      trouble(null);
      add({ image });
      $("label").textContent = "Test image " + found.index + ": " + found.label;
    } catch (why) {
      trouble(why);
    }
  }
  let count = 10000;
  $("digit").addEventListener("submit", function (event) {
    event.preventDefault();
    digit($("index").value);
  });
  $("any").addEventListener("click", function () {
    $("index").value = Math.floor(Math.random() * count);
    digit($("index").value);
  });

  // ---- what came back

  function unpack(packed) {
    const text = atob(packed.values), bytes = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    return bytes;
  }

  const shades = new Uint8ClampedArray(256);
  function mix() {
    for (let v = 0; v < 256; v++) shades[v] = dark.matches ? 20 + v * 0.9 : 255 - v * 0.94;
  }

  function paint(canvas, bytes, height, width) {
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const data = new ImageData(width, height), pixels = data.data;
    for (let k = 0; k < bytes.length; k++) {
      pixels[4 * k] = pixels[4 * k + 1] = pixels[4 * k + 2] = shades[bytes[k]];
      pixels[4 * k + 3] = 255;
    }
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  function make(tag, parent, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  }

  function picture(parent, words) {
    const canvas = make("canvas", parent);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    canvas.title = words;
    return canvas;
  }

  const number = (v) => v.toPrecision(3);

  function showAnswer() {
    const net = nets[+$("net").value], best = last.answer;
    const name = best === null ? "–" : net.classes[best];
    $("class").textContent = name;
    $("class").className = name.length > 2 ? "long" : "";
    paint($("seen"), unpack(last.image), last.image.shape[0], last.image.shape[1]);
    [...$("certainty").tBodies[0].rows].forEach(function (row, k) {
      const p = best === null ? 0 : last.certainty[k];
      row.className = k === best ? "best" : "";
      row.querySelector("i").style.width = 100 * p + "%";
      row.cells[2].textContent = best === null ? "" : (100 * p).toFixed(1) + " %";
    });
    $("time").textContent = "The net took " + last.milliseconds.toFixed(2) + " ms on " + net.device +
      ", the answer " + last.whole.toFixed(1) + " ms in all.";
  }

  let speaking = 0;
  function speak() {  // once the pen rests, not at every step
    clearTimeout(speaking);
    speaking = setTimeout(function () {
      const best = last.answer;
      $("spoken").textContent = best === null ? "" : "Answer: " + nets[+$("net").value].classes[best] +
        ", " + (100 * last.certainty[best]).toFixed(0) + " percent";
    }, 500);
  }

  function showFired() {
    const box = $("fired");
    box.textContent = last.fired.length ? "" : "None yet.";
    const image = unpack(last.image), [height, width] = last.image.shape;
    let group = null, name = null;
    for (const f of last.fired) {
      if (f.layer !== name) {
        name = f.layer;
        const part = make("div", box);
        make("h3", part, "", name);
        group = make("div", part, "fired");
      }
      const figure = make("figure", group), row = make("div", figure);
      const words = "filter " + f.filter + " of " + f.layer;
      const [r, s] = f.kernel.shape;
      const on = f.channels > 1 ? "on map " + f.channel : "";
      paint(picture(row, "weights of " + words + (on && ", " + on)), unpack(f.kernel), r, s);
      const where = picture(row, "where " + words + " fired");
      paint(where, image, height, width);
      if (f.field) frame(where, f.field);
      const layer = last.layers.find((l) => l.name === f.layer), [, p, q] = layer.shape;
      paint(picture(row, "map of " + words), layer.bytes.subarray(f.filter * p * q, (f.filter + 1) * p * q), p, q);
      const caption = make("figcaption", figure, "faint");
      make("b", caption, "", "filter " + f.filter);
      caption.append(" " + number(f.value), make("br", caption), on || " ");
    }
  }

  function frame(canvas, field) {
    // The picture enlarged, so that the frame is finer than a pixel of it.
    const scale = 6, copy = document.createElement("canvas");
    copy.width = canvas.width;
    copy.height = canvas.height;
    copy.getContext("2d").drawImage(canvas, 0, 0);
    canvas.width *= scale;
    canvas.height *= scale;
    const pen = canvas.getContext("2d"), [top, left, height, width] = field.map((v) => v * scale);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(copy, 0, 0, canvas.width, canvas.height);
    for (const [colour, thickness] of [["#fff", 9], ["#000", 5]]) {  // to be seen on any ground
      pen.strokeStyle = colour;
      pen.lineWidth = thickness;
      pen.strokeRect(left, top, width, height);
    }
  }

  let built = "";
  function showLayers() {
    const box = $("layers");
    const key = $("net").value + JSON.stringify(last.layers.map((l) => [l.name, l.shape]));
    if (key !== built) {
      built = key;
      box.textContent = "";
      for (const layer of last.layers) {
        const n = layer.shape[0];
        const words = layer.shape.length === 3
          ? n + " maps of " + layer.shape[1] + "×" + layer.shape[2] : n + " values";
        const head = make("h3", box, "", layer.name + " ");
        make("span", head, "faint", layer.about + ": " + words);
        const part = make("div", box, layer.shape.length === 1 ? "row"
          : layer.shape[1] > 8 ? "maps" : "maps small");
        if (layer.shape.length === 1) picture(part, layer.name + ": " + words);
        else for (let k = 0; k < n; k++) picture(part, layer.name + ", map " + k);
      }
    }
    last.layers.forEach(function (layer, number) {
      const canvases = box.children[2 * number + 1].children;
      if (layer.shape.length === 1) {
        strip(canvases[0], layer.bytes);
        return;
      }
      const [n, height, width] = layer.shape, size = height * width;
      const strong = new Set(last.fired.filter((f) => f.layer === layer.name).map((f) => f.filter));
      for (let k = 0; k < n; k++) {
        paint(canvases[k], layer.bytes.subarray(k * size, (k + 1) * size), height, width);
        canvases[k].className = strong.has(k) ? "strong" : "";
      }
    });
  }

  function strip(canvas, bytes) {
    const columns = Math.min(64, bytes.length), rows = Math.ceil(bytes.length / columns);
    const full = new Uint8Array(rows * columns);
    full.set(bytes);
    paint(canvas, full, rows, columns);
    canvas.style.width = 13 * columns + "px";
  }

  function show() {
    last.layers.forEach((layer) => { layer.bytes = layer.bytes || unpack(layer); });
    showAnswer();
    showFired();
    showLayers();
    speak();
  }

  // ---- the nets

  function choose() {
    const net = nets[+$("net").value];
    const accuracy = net.test_accuracy;
    $("about").textContent = net.parameters.toLocaleString("en") + " parameters" +
      (accuracy ? ", " + (100 * accuracy).toFixed(2) + " % of the test images right" : "");
    const body = $("certainty").tBodies[0];
    body.textContent = "";
    for (const name of net.classes) {
      const row = make("tr", body);
      make("th", row, "", name).scope = "row";
      make("i", make("div", make("td", row), "track"));
      make("td", row, "n");
    }
    look();
  }
  $("net").addEventListener("change", choose);
  dark.addEventListener("change", function () {
    mix();
    if (last) show();
  });

  mix();
  redraw();
  ask("api/nets").then(function (found) {
    nets = found.nets;
    nets.forEach(function (net, k) {
      make("option", $("net"), "", net.name).value = k;
    });
    choose();
  }).catch(trouble);
})();
