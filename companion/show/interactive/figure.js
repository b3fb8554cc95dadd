// What every figure that responds is made of: a custom element whose state comes from the package's trace, and whose
// changes go out as events. Matrices, controls and planes are beside it, and sent with it.
(() => {
  if (customElements.get("shape-figure")) return;

  // The look's rules for chips, filled by companion.show.look.code.
  const LOOK = "";

  const CONTROLS = `
    :host { display: block; color: var(--look-text); font: 15px/1.45 system-ui, sans-serif; flex: 1 1 100%; min-width: 0; }
    :host .live { display: flex; flex-direction: column; gap: 0.75rem; }
    slot { display: none; }
    @media print { :host .live { display: none; } slot { display: flex; flex-wrap: wrap; gap: 0.75rem 1.25rem; } }
    .stage, .controls { display: flex; flex-wrap: wrap; gap: 0.75rem 1.25rem; align-items: center; }
    .readout { box-sizing: border-box; margin: 0; min-height: 4em; padding: 0.5rem 0.75rem; border-left: 3px solid var(--look-edge); background: var(--look-surface);
      overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
    .readout.refused { border-left-style: dotted; }
    button, select, input { font: inherit; color: inherit; }
    button, select, input[type=text] { min-height: 44px; padding: 0 0.75rem; border: 1px solid var(--look-edge); border-radius: 4px;
      background: var(--look-activations); }
    button:not(:disabled), input[type=range], input[type=checkbox], input[type=radio], select { cursor: pointer; }
    :is(button:disabled, button[aria-disabled=true]) { color: var(--look-muted); border-style: dashed; }
    input[type=text] { width: 7em; }
    @media (pointer: coarse) { input[type=text], select { font-size: 16px; } .steps button { min-width: 44px; } }
    select { min-width: 0; max-width: 100%; text-overflow: ellipsis; }
    input[type=range] { min-width: 8rem; flex: 1 1 8rem; height: 44px; accent-color: var(--look-focus); }
    input[type=checkbox], input[type=radio] { width: 18px; height: 18px; margin: 0; accent-color: var(--look-focus); }
    :is(button, select, input, [tabindex]):focus-visible { outline: 3px solid var(--look-focus); outline-offset: 1px; z-index: 1; }
    label { display: inline-flex; align-items: center; gap: 0.5rem; min-height: 44px; max-width: 100%; }
    fieldset { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: center; margin: 0; padding: 0; border: 0; min-width: 0; }
    legend { float: left; padding: 0; margin-inline-end: 0.25rem; color: var(--look-muted); }
    .steps { display: flex; flex: 1 1 20rem; gap: 0.75rem; align-items: center; }
    .steps output { min-width: 7.5em; }
    .meter { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 0.75rem; font-size: 14px; font-variant-numeric: tabular-nums; }
    .meter .track { flex: 1 1 100%; }
    .meter .bar { height: 8px; width: calc(var(--part, 0) * 100%); background: color-mix(in srgb, var(--look-text) 72%, var(--look-activations)); }
    .quantity { display: flex; flex: 1 1 20rem; gap: 0 0.75rem; align-items: center; }
    .quantity label { flex: none; } .quantity input[type=text] { width: 4.5em; padding: 0 0.5rem; } .quantity input[type=range] { min-width: 5rem; }
    .matrix { display: inline-flex; flex-direction: column; gap: 0.2rem; }
    .matrix .name { font-size: 14px; white-space: nowrap; }
    .matrix [role=grid] { display: grid; width: max-content; border-top: 3px solid var(--columns, var(--look-edge));
      border-inline-start: 3px solid var(--rows, var(--look-edge)); }
    .matrix [role=row] { display: contents; }
    .matrix.weights { padding: 4px 6px 6px; border: 2px solid var(--look-edge); background: var(--look-weights); }
    .matrix [role=gridcell] { position: relative; box-sizing: border-box; min-width: 44px; height: 36px; padding: 0 5px; display: grid;
      place-items: center; border: 0 solid var(--look-rule); border-width: 0 1px 1px 0; font-variant-numeric: tabular-nums; cursor: default;
      background: color-mix(in srgb, var(--look-positive) calc(var(--strength, 0) * var(--look-most) * 100%), var(--look-activations)); }
    .matrix .negative { background: color-mix(in srgb, var(--look-negative) calc(var(--strength, 0) * var(--look-most) * 100%), var(--look-activations)); }
    .matrix .negative::before { content: ""; position: absolute; inset: 0 auto auto 0; border: 4px solid; border-color: var(--look-negative) transparent transparent var(--look-negative); }
    .matrix .masked { background: linear-gradient(to top left, transparent 48%, var(--look-edge) 49% 51%, transparent 52%); color: transparent; }
    .matrix .lit { box-shadow: inset 0 0 0 2px var(--look-text); }
    .matrix .picked { box-shadow: inset 0 0 0 3px var(--look-focus); }
    @media (pointer: coarse) { .matrix [role=gridcell] { min-width: 44px; height: 44px; } }
    /* On a phone what is moved stands above what it moves, so that it does not move itself, and what is said stays in sight. */
    @media (max-width: 480px) {
      .controls { gap: 0.25rem 1rem; order: -1; }
      .readout { position: sticky; bottom: 0; z-index: 2; max-height: 40vh; overflow-y: auto; border: 1px solid var(--look-edge); border-left-width: 3px; }
    }
  `;

  // An element with attributes and children; what begins with "on" is a listener.
  function make(tag, attributes = {}, ...children) {
    const drawn = /^(svg|g|path|rect|circle|line|text|tspan|polyline|polygon|title|defs|clipPath)$/.test(tag);
    const node = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter(child => child != null));
    return node;
  }

  // A number in as few characters as it needs: 3, 0.36, −1.5, 1e30, inf, nan.
  function brief(value, digits = 3) {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value < 0 ? "−inf" : "inf";
    const size = Math.abs(value);
    const text = size && (size >= 1e5 || size < 10 ** -digits) ? value.toExponential(1).replace("e+", "e") : String(+value.toFixed(size < 10 ? digits - 1 : 1));
    return text.replace("-", "−");
  }

  // A count as the package's `amount` writes it: exact below 10,000, else three digits with a prefix.
  function amount(count, unit = "") {
    if (count < 1e4) return `${count.toLocaleString("en")} ${unit}`.trim();
    const [digits, exponent] = count.toExponential(2).split("e");
    const over = exponent % 3;
    return `${(digits * 10 ** over).toFixed(2 - over)} ${"kMGTPE"[(exponent - over) / 3 - 1]}${unit}`;
  }

  // Filled by companion.show.look.code, as LOOK is: the names of axes and their letters.
  const LETTERS = {};

  // The color of an edge along an axis.
  const ink = axis => LETTERS[axis] ? `var(--look-${LETTERS[axis]})` : "var(--look-edge)";

  // A size or a word as the chip of its axis, as the package's `look.chips` writes it.
  function chip(content, axis) {
    const size = make("span", {class: "size"}, String(content));
    if (!LETTERS[axis]) return size;
    const letter = String(content) in LETTERS ? null : make("span", {class: "letter", "aria-hidden": "true"}, LETTERS[axis]);
    return make("span", {class: "axis", "data-axis": LETTERS[axis], title: axis}, size, letter);
  }

  // A shape is read out by its axes, as `look.chips` has it: "shape 2 q_len, 3 head_dim".
  function shape(sizes, axes) {
    const chips = sizes.flatMap((size, i) => [i ? ", " : "(", chip(size, axes[i])]);
    const said = `shape ${sizes.map((size, i) => LETTERS[axes[i]] ? `${size} ${axes[i]}` : size).join(", ")}`;
    return make("span", {class: "axes-shape", role: "img", "aria-label": said}, ...chips, sizes.length === 1 ? ",)" : ")");
  }

  // A figure: `start(trace)` gives its first state, `build(trace)` its parts once, `show(state, trace)` what changes.
  class ShapeFigure extends HTMLElement {
    static parts = {make, brief, amount, ink, chip, shape};  // and those of the scripts beside this one

    connectedCallback() {
      const parsing = document.readyState === "loading";  // and the trace is not there yet
      if (parsing) document.addEventListener("DOMContentLoaded", () => this.begin(), {once: true});
      else this.begin();
    }

    begin() {
      if (this.shadowRoot) return;
      this.trace = JSON.parse(this.querySelector("script[type='application/json']").textContent);
      const root = this.attachShadow({mode: "open"});
      this.stage = make("div", {class: "stage"});
      this.controls = make("div", {class: "controls"});
      this.readout = make("p", {class: "readout", role: "status"});
      root.append(make("style", {}, LOOK + CONTROLS + (this.constructor.css || "")),
        make("div", {class: "live"}, this.stage, this.controls, this.readout), make("slot"));
      this.state = this.start(this.trace);
      this.build(this.trace);
      this.show(this.state, this.trace);
    }

    // Take a change, draw, and tell who listens.
    set(change) {
      this.state = {...this.state, ...change};
      this.readout.classList.remove("refused");
      this.show(this.state, this.trace);
      this.dispatchEvent(new CustomEvent("figure-change", {bubbles: true, composed: true, detail: this.state}));
    }

    // What the figure says about the state, or why it does not take an input; the state stays as it was.
    // The same again is not said again, and the room that words once took is kept, so that nothing below them jumps.
    say(...words) {
      const before = this.readout.textContent;
      const next = make("span", {}, ...words);
      if (next.textContent === before) return;
      this.readout.replaceChildren(...next.childNodes);
      const tall = this.readout.offsetHeight;
      if (tall > (this.tallest ?? 0)) this.readout.style.minHeight = `${this.tallest = tall}px`;
    }

    refuse(why) {
      this.readout.classList.add("refused");
      this.say(why);
    }
  }

  customElements.define("shape-figure", ShapeFigure);
})();
