// Zoom for the pictures. The page is complete without it.
document.querySelectorAll(".picture").forEach(function (box) {
  var svg = box.querySelector("svg");
  if (!svg) return;
  var width = +svg.getAttribute("width"), height = +svg.getAttribute("height"), scale = 1;
  function set(s) {
    scale = Math.max(0.05, Math.min(4, s));
    svg.style.width = width * scale + "px";
    svg.style.height = height * scale + "px";
    svg.style.minWidth = 0;
  }
  function fit() { set(Math.min(1, (box.clientWidth - 4) / width)); }
  function first() {
    // Nearly all of it at a size that can still be read, as soon as it can be seen.
    if (box.clientWidth && !svg.style.width && width > box.clientWidth && width < 1.8 * box.clientWidth) fit();
  }
  var tools = document.createElement("div");
  tools.className = "tools";
  [["fit", fit], ["1:1", function () { set(1); }], ["−", function () { set(scale / 1.25); }],
   ["+", function () { set(scale * 1.25); }]].forEach(function (tool) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = tool[0];
    button.onclick = tool[1];
    tools.appendChild(button);
  });
  box.parentNode.insertBefore(tools, box);
  first();
  document.addEventListener("change", first);
});
