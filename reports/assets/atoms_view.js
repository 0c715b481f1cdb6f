// Atoms of a cell in three dimensions, coloured by outcome, displacement or element. Turns by mouse, touch and keyboard.
//
// Orthographic, so that the scale bar holds everywhere. Drawn by WebGL 2 as spheres with a depth of their own in each pixel;
// where there is none, or with #canvas in the address, by a 2D canvas from back to front. Draws on demand only.
"use strict";
(() => {
  const RING = 3, SQUARE = 4; // the outcomes as in reports/pages/atoms.py: correct, misclassified, false positive, missed, non-atom, traced
  const shapeOf = (outcome) => (outcome > SQUARE ? 0 : outcome); // traced atoms of which no truth is known are spheres as well
  const GREY = [150, 150, 150];
  const NO_DISPLACEMENT = 65535;
  const VIEWS = { x: [[0, 1, 0], [0, 0, 1], [1, 0, 0]], y: [[0, 0, 1], [1, 0, 0], [0, 1, 0]], z: [[1, 0, 0], [0, 1, 0], [0, 0, 1]] };
  const OBLIQUE = [[0.88, 0, -0.48], [-0.17, 0.94, -0.31], [0.45, 0.35, 0.82]];
  const TURN = (5 * Math.PI) / 180;

  // ---- data -------------------------------------------------------------------------------------------------------------

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out.buffer;
  }

  function decode(packed) {
    const steps = new Int16Array(bytes(packed.positions)), positions = new Float32Array(steps.length);
    for (let i = 0; i < steps.length; i++) positions[i] = steps[i] * packed.step_A;
    return {
      ...packed,
      positions,
      element: new Uint8Array(bytes(packed.element)),
      outcome: new Uint8Array(bytes(packed.outcome)),
      displacement: new Uint16Array(bytes(packed.displacement)),
      count: steps.length / 3,
    };
  }

  const signed = (value) => String(value).replace("-", "−");
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  // ---- small algebra: rows of a rotation are the axes of the screen (right, up, towards the reader) ---------------------------

  function multiply(a, b) {
    return a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));
  }

  function turned(rotation, right, up) {
    const [a, b, c, d] = [Math.cos(right), Math.sin(right), Math.cos(up), Math.sin(up)];
    const next = multiply([[1, 0, 0], [0, c, -d], [0, d, c]], multiply([[a, 0, b], [0, 1, 0], [-b, 0, a]], rotation));
    return orthonormal(next);
  }

  function orthonormal([x, y]) { // thousands of small turns must not stretch the picture
    const unit = (v) => { const n = Math.hypot(...v); return v.map((k) => k / n); };
    const r = unit(x), along = r[0] * y[0] + r[1] * y[1] + r[2] * y[2], u = unit(y.map((k, i) => k - along * r[i]));
    return [r, u, [r[1] * u[2] - r[2] * u[1], r[2] * u[0] - r[0] * u[2], r[0] * u[1] - r[1] * u[0]]];
  }

  // ---- drawing ----------------------------------------------------------------------------------------------------------

  const VERTEX = `#version 300 es
    in vec3 position; in vec3 color; in float shape; in float radius;
    uniform mat3 rotation; uniform vec3 scale; uniform float pixels;
    out vec3 tint; flat out float form; flat out float depth;
    void main() {
      vec3 at = rotation * position;
      gl_Position = vec4(at.xy * scale.xy, -at.z * scale.z, 1.0);
      gl_PointSize = max(2.0, 2.0 * radius * pixels);
      tint = color; form = shape; depth = radius * scale.z * 0.5;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 tint; flat in float form; flat in float depth; out vec4 pixel;
    void main() {
      vec2 at = 2.0 * gl_PointCoord - 1.0; at.y = -at.y;
      float from = dot(at, at); float height = sqrt(max(0.0, 1.0 - from)); vec3 ink = tint;
      if (form > 3.5) { if (max(abs(at.x), abs(at.y)) > 0.75) discard; height = 0.5; }
      else if (form > 2.5) { if (from > 1.0 || from < 0.45) discard; height = 0.5; }
      else if (form > 1.5) { if (abs(at.x) + abs(at.y) > 1.0) discard; ink *= at.x + at.y > 0.0 ? 1.0 : 0.72; height = 0.5; }
      else {
        if (from > 1.0) discard;
        vec3 normal = vec3(at, height);
        float light = 0.45 + 0.55 * max(0.0, dot(normal, normalize(vec3(-0.4, 0.5, 0.77))));
        ink = tint * light + 0.25 * pow(max(0.0, dot(normal, normalize(vec3(-0.3, 0.4, 0.9)))), 24.0);
        if (form > 0.5 && from < 0.14) ink = vec3(0.08);
      }
      gl_FragDepth = clamp(gl_FragCoord.z - height * depth, 0.0, 1.0);
      pixel = vec4(ink, 1.0);
    }`;

  function webgl(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) return null;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) return null;
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(1, 1, 1, 1);
    const buffer = (name, size, type, normalized) => {
      const place = gl.getAttribLocation(program, name), data = gl.createBuffer();
      return (array) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, data);
        gl.bufferData(gl.ARRAY_BUFFER, array, gl.DYNAMIC_DRAW);
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, size, type, normalized, 0, 0);
      };
    };
    const fill = {
      positions: buffer("position", 3, gl.FLOAT, false), colors: buffer("color", 3, gl.UNSIGNED_BYTE, true),
      shapes: buffer("shape", 1, gl.UNSIGNED_BYTE, false), radii: buffer("radius", 1, gl.FLOAT, false),
    };
    const uniform = (name) => gl.getUniformLocation(program, name);
    const places = { rotation: uniform("rotation"), scale: uniform("scale"), pixels: uniform("pixels") };
    let count = 0;
    return {
      name: "webgl2",
      load(shown) {
        count = shown.count;
        for (const name of Object.keys(fill)) fill[name](shown[name]);
      },
      draw({ rotation, pixels, reach }) {
        const { width, height } = canvas;
        gl.viewport(0, 0, width, height);
        gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
        gl.uniformMatrix3fv(places.rotation, true, rotation.flat());
        gl.uniform3f(places.scale, (2 * pixels) / width, (2 * pixels) / height, 0.9 / reach);
        gl.uniform1f(places.pixels, pixels);
        gl.drawArrays(gl.POINTS, 0, count);
      },
    };
  }

  function canvas2d(canvas) {
    const context = canvas.getContext("2d", { alpha: false });
    const BINS = 4096; // of depth: atoms are put into them instead of sorted, which is quicker by an order for many
    let shown = { count: 0 }, kinds = [], kind = new Uint16Array(0), bin = new Uint16Array(0), order = new Uint32Array(0);
    return {
      name: "canvas",
      load(atoms) { // atoms of one colour, shape and size share a picture
        shown = atoms;
        kind = new Uint16Array(atoms.count);
        bin = new Uint16Array(atoms.count);
        order = new Uint32Array(atoms.count);
        kinds = [];
        const places = new Map();
        for (let i = 0; i < atoms.count; i++) {
          const color = atoms.colors.subarray(3 * i, 3 * i + 3), name = ((color[0] * 256 + color[1]) * 256 + color[2]) * 8 + atoms.shapes[i];
          if (!places.has(name)) { places.set(name, kinds.length); kinds.push({ color, shape: atoms.shapes[i], radius: atoms.radii[i] }); }
          kind[i] = places.get(name);
        }
      },
      draw({ rotation, pixels, reach }) {
        const { width, height } = canvas, [right, up, out] = rotation, at = shown.positions, starts = new Uint32Array(BINS + 1);
        context.fillStyle = "#fff";
        context.fillRect(0, 0, width, height);
        for (let i = 0; i < shown.count; i++) {
          const depth = out[0] * at[3 * i] + out[1] * at[3 * i + 1] + out[2] * at[3 * i + 2];
          bin[i] = Math.max(0, Math.min(BINS - 1, Math.floor(((depth / reach + 1) * BINS) / 2)));
          starts[bin[i] + 1]++;
        }
        for (let k = 0; k < BINS; k++) starts[k + 1] += starts[k];
        for (let i = 0; i < shown.count; i++) order[starts[bin[i]]++] = i;
        const pictures = kinds.map((one) => symbol(one.color, one.shape, Math.max(1, Math.round(one.radius * pixels))));
        for (let k = 0; k < shown.count; k++) {
          const i = order[k], picture = pictures[kind[i]], x = at[3 * i], y = at[3 * i + 1], z = at[3 * i + 2];
          const u = width / 2 + pixels * (right[0] * x + right[1] * y + right[2] * z);
          const v = height / 2 - pixels * (up[0] * x + up[1] * y + up[2] * z);
          context.drawImage(picture, Math.round(u - picture.width / 2), Math.round(v - picture.height / 2));
        }
      },
    };
  }

  function symbol(color, shape, radius) {
    const canvas = document.createElement("canvas"), side = 2 * radius + 2, middle = side / 2;
    canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d"), css = (k) => `rgb(${[...color].map((c) => Math.min(255, Math.round(c * k))).join(",")})`;
    pen.fillStyle = css(1);
    pen.beginPath();
    if (shape === SQUARE) pen.rect(middle - 0.75 * radius, middle - 0.75 * radius, 1.5 * radius, 1.5 * radius);
    else if (shape === 2) [[0, -1], [1, 0], [0, 1], [-1, 0]].forEach(([x, y]) => pen.lineTo(middle + radius * x, middle + radius * y));
    else pen.arc(middle, middle, shape === RING ? 0.83 * radius : radius, 0, 2 * Math.PI);
    if (shape === RING) {
      pen.strokeStyle = css(1);
      pen.lineWidth = Math.max(1, 0.33 * radius);
      pen.stroke();
      return canvas;
    }
    if (shape < 2) {
      const light = pen.createRadialGradient(middle - 0.3 * radius, middle - 0.35 * radius, 0, middle, middle, 1.1 * radius);
      light.addColorStop(0, css(1.35));
      light.addColorStop(0.4, css(0.95));
      light.addColorStop(1, css(0.5));
      pen.fillStyle = light;
    }
    pen.fill();
    if (shape === 1) {
      pen.fillStyle = "#151515";
      pen.beginPath();
      pen.arc(middle, middle, 0.37 * radius, 0, 2 * Math.PI);
      pen.fill();
    }
    return canvas;
  }

  // ---- the page's elements ------------------------------------------------------------------------------------------------

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  function svg(name, attributes = {}) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  function swatch(color, shape) {
    const canvas = symbol(color, shape, 7);
    canvas.setAttribute("aria-hidden", "true");
    return canvas;
  }

  function count(array, length) {
    const found = new Array(length).fill(0);
    for (const value of array) found[value]++;
    return found;
  }

  // ---- the view -----------------------------------------------------------------------------------------------------------

  function start(box) {
    const atoms = decode(JSON.parse(document.getElementById(box.dataset.atoms).textContent));
    const outcomes = atoms.outcomes.map((entry) => ({ ...entry, rgb: rgb(entry.color) }));
    const elements = atoms.elements.map((entry) => ({ ...entry, rgb: rgb(entry.color) }));
    const ramp = atoms.ramp.map(rgb);
    const perOutcome = count(atoms.outcome, outcomes.length), perElement = count(atoms.element, elements.length);
    const heights = atoms.positions.filter((_, i) => i % 3 === 2);
    let reach = 1;
    for (let i = 0; i < atoms.count; i++) if (atoms.outcome[i] !== SQUARE) reach = Math.max(reach, Math.hypot(...atoms.positions.subarray(3 * i, 3 * i + 3)));
    reach += 1.5;
    const low = Math.floor(heights.reduce((a, b) => Math.min(a, b), 0)), high = Math.ceil(heights.reduce((a, b) => Math.max(a, b), 0));
    const state = {
      rotation: OBLIQUE, zoom: 1, mode: "outcome", from: low, to: high, size: 1,
      outcome: outcomes.map((_, i) => i !== SQUARE), element: elements.map(() => true),
    };

    const status = make("p", { class: "view-status", role: "status" });
    const drawing = make("div", { class: "view-drawing" });
    const overlay = svg("svg", { class: "view-overlay", "aria-hidden": "true" });
    const bar = make("div", { class: "view-bar" });
    const legend = make("div", { class: "view-legend" });
    let canvas, renderer, waiting = false;

    function surface(allowed) {
      canvas = make("canvas", {
        tabindex: "0", role: "application",
        "aria-label": `Traced atoms in three dimensions: ${atoms.count} atoms. Arrow keys turn, plus and minus zoom, x, y and z look along an axis, 0 resets.`,
      });
      renderer = allowed && webgl(canvas);
      if (!renderer) { // a canvas that has been asked for WebGL gives no 2D context any more
        const fresh = canvas.cloneNode();
        canvas = fresh;
        renderer = canvas2d(canvas);
      }
      drawing.replaceChildren(canvas, overlay);
      box.dataset.renderer = renderer.name;
      listen();
    }

    function colorOf(i) {
      const outcome = atoms.outcome[i];
      if (state.mode === "element") return elements[atoms.element[i]].rgb;
      if (state.mode === "outcome") return outcomes[outcome].rgb;
      const moved = atoms.displacement[i];
      if (moved === NO_DISPLACEMENT) return outcome === RING ? outcomes[RING].rgb : GREY;
      return ramp[Math.min(ramp.length - 1, Math.floor((moved * atoms.displacement_step_pm * ramp.length) / atoms.largest_pm))];
    }

    function refill() {
      const chosen = [];
      for (let i = 0; i < atoms.count; i++) {
        const z = atoms.positions[3 * i + 2];
        if (state.outcome[atoms.outcome[i]] && state.element[atoms.element[i]] && z >= state.from && z <= state.to) chosen.push(i);
      }
      const shown = {
        count: chosen.length, positions: new Float32Array(3 * chosen.length), colors: new Uint8Array(3 * chosen.length),
        shapes: new Uint8Array(chosen.length), radii: new Float32Array(chosen.length),
      };
      chosen.forEach((i, k) => {
        shown.positions.set(atoms.positions.subarray(3 * i, 3 * i + 3), 3 * k);
        shown.colors.set(colorOf(i), 3 * k);
        shown.shapes[k] = shapeOf(atoms.outcome[i]);
        shown.radii[k] = atoms.radius_A * state.size * (atoms.outcome[i] === 2 || atoms.outcome[i] === RING ? 1.25 : 1);
      });
      renderer.load(shown);
      box.dataset.visible = shown.count;
      status.textContent = `${shown.count} of ${atoms.count} atoms shown, z from ${state.from} to ${state.to} Å.`.replaceAll("-", "−");
      redraw();
    }

    function redraw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; paint(); });
    }

    function paint() {
      const ratio = window.devicePixelRatio || 1, width = drawing.clientWidth, height = drawing.clientHeight;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const perAngstrom = (0.46 * Math.min(width, height) * state.zoom) / reach;
      renderer.draw({ rotation: state.rotation, pixels: perAngstrom * ratio, reach });
      decorate(width, height, perAngstrom);
      box.dataset.rotation = state.rotation.flat().map((k) => k.toFixed(4)).join(" ");
    }

    function decorate(width, height, perAngstrom) { // axes triad and scale bar
      overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const nodes = [], [x0, y0, length] = [38, height - 42, 24];
      [["x", "#D55E00"], ["y", "#007A59"], ["z", "#0072B2"]]
        .map(([name, color], k) => ({ name, color, u: state.rotation[0][k], v: -state.rotation[1][k], depth: state.rotation[2][k] }))
        .sort((a, b) => a.depth - b.depth)
        .forEach(({ name, color, u, v }) => {
          nodes.push(svg("line", { x1: x0, y1: y0, x2: x0 + length * u, y2: y0 + length * v, stroke: color, "stroke-width": 2.5 }));
          const text = svg("text", { x: x0 + (length + 9) * u, y: y0 + (length + 9) * v + 4, fill: color, "text-anchor": "middle" });
          text.textContent = name;
          nodes.push(text);
        });
      const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500];
      const angstrom = steps.filter((step) => step * perAngstrom < 0.3 * width).pop() || 1, long = angstrom * perAngstrom;
      nodes.push(svg("line", { x1: width - 16 - long, y1: height - 18, x2: width - 16, y2: height - 18, stroke: "#111", "stroke-width": 3 }));
      const text = svg("text", { x: width - 16 - long / 2, y: height - 25, "text-anchor": "middle", fill: "#111" });
      text.textContent = `${angstrom} Å`;
      nodes.push(text);
      overlay.replaceChildren(...nodes);
    }

    // -- what the reader can do

    function turn(right, up) { state.rotation = turned(state.rotation, right, up); redraw(); }
    function zoom(factor) { state.zoom = Math.min(30, Math.max(0.3, state.zoom * factor)); redraw(); }
    function look(name) { state.rotation = name === "0" ? OBLIQUE : VIEWS[name]; if (name === "0") state.zoom = 1; redraw(); }

    function listen() {
      const fingers = new Map();
      let apart = 0;
      const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
        if (fingers.size === 2) apart = spread();
      });
      canvas.addEventListener("pointermove", (event) => {
        const last = fingers.get(event.pointerId);
        if (!last) return;
        fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
        if (fingers.size === 1) turn((event.clientX - last.x) * 0.01, (event.clientY - last.y) * 0.01);
        else if (fingers.size === 2) { const now = spread(); if (apart > 0) zoom(now / apart); apart = now; }
      });
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
      canvas.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls until the view is chosen
        event.preventDefault();
        zoom(Math.exp(-0.0015 * event.deltaY));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? TURN / 5 : TURN;
        const keys = {
          ArrowLeft: () => turn(-step, 0), ArrowRight: () => turn(step, 0), ArrowUp: () => turn(0, -step), ArrowDown: () => turn(0, step),
          "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), 0: () => look("0"),
          x: () => look("x"), y: () => look("y"), z: () => look("z"),
        };
        if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        keys[event.key]();
      });
      canvas.addEventListener("webglcontextlost", () => { surface(false); refill(); });
    }

    function choice(text, checked, change, mark) {
      const input = make("input", { type: "checkbox", checked, onchange: () => { change(input.checked); refill(); } });
      return make("label", {}, input, ...(mark ? [mark] : []), ` ${text}`);
    }

    function range(text, value, least, most, step, change) {
      const shown = make("output", {}, signed(value));
      const input = make("input", { type: "range", min: least, max: most, step, value, oninput: () => { shown.textContent = signed(change(Number(input.value))); refill(); } });
      return make("label", { class: "view-range" }, `${text} `, input, " ", shown);
    }

    function rebuildLegend() {
      const rows = outcomes.map((entry, i) => perOutcome[i] || (i < SQUARE && !perOutcome[SQUARE + 1])
        ? choice(`${entry.name}: ${perOutcome[i]}`, state.outcome[i], (on) => { state.outcome[i] = on; },
          swatch(state.mode === "outcome" || i === RING ? entry.rgb : GREY, shapeOf(i))) : "");
      const kinds = elements.map((entry, i) => choice(`${entry.name}: ${perElement[i]}`, state.element[i], (on) => { state.element[i] = on; },
        state.mode === "element" ? swatch(entry.rgb, 0) : null));
      legend.replaceChildren(
        make("fieldset", {}, make("legend", {}, "Outcome (atoms)"), ...rows),
        make("fieldset", {}, make("legend", {}, "Element (traced; true where missing)"), ...kinds),
      );
      bar.hidden = state.mode !== "displacement";
      const middle = atoms.largest_pm / 2, digits = atoms.largest_pm < 10 ? 1 : 0;
      bar.replaceChildren(
        make("span", {}, "Distance from the true atom (pm)"),
        make("span", { class: "view-ramp", style: `background:linear-gradient(to right,${atoms.ramp.join(",")})` }),
        make("span", { class: "view-ticks" }, ...["0", middle.toFixed(digits), `≥ ${atoms.largest_pm.toFixed(digits)}`].map((text) => make("span", {}, text))),
      );
    }

    const modes = ["outcome", "displacement", "element"].map((name) => make("option", { value: name }, name));
    const select = make("select", { onchange: () => { state.mode = select.value; rebuildLegend(); refill(); } }, ...modes);
    const button = (text, label, act) => make("button", { type: "button", "aria-label": label, onclick: act }, text);
    const tools = make("div", { class: "view-tools" },
      make("label", {}, "Colour by ", select),
      make("span", { role: "group", "aria-label": "Look along an axis" }, "Along ",
        ...["x", "y", "z"].map((name) => button(name, `Look along ${name}`, () => look(name))), button("reset", "Reset the view", () => look("0"))),
      make("span", { role: "group", "aria-label": "Zoom" }, button("−", "Zoom out", () => zoom(1 / 1.2)), button("+", "Zoom in", () => zoom(1.2))),
    );
    const ranges = make("div", { class: "view-tools" },
      range("Slab, z from (Å)", low, low, high, 0.5, (value) => { state.from = value; return value; }),
      range("to (Å)", high, low, high, 0.5, (value) => { state.to = value; return value; }),
      range("Size of atoms", 1, 0.3, 2, 0.1, (value) => { state.size = value; return value; }),
    );
    const help = make("p", { class: "meta" },
      "Drag or arrow keys turn; wheel (after a click), pinch, + and − zoom; x, y, z look along an axis. z is the beam of the untilted specimen.");

    rebuildLegend();
    box.append(tools, drawing, bar, legend, ranges, status, help);
    surface(!location.hash.includes("canvas"));
    refill();
    box.classList.add("ready"); // from here on the still picture is for print alone
    new ResizeObserver(redraw).observe(drawing);
  }

  for (const box of document.querySelectorAll(".atoms-view")) start(box);
})();
