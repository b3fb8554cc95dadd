// A part of figures, beside those in figure.js: a plane with curves and dots.
(() => {
  const {parts} = customElements.get("shape-figure");
  if (parts.Plane) return;
  const {make, brief} = parts;

  // A plane of curves and dots: an axis across and one up, each {from, to, label, log, write}.
  class Plane {
    static css = `.plane { display: block; max-width: 100%; height: auto; } .plane text { fill: var(--look-text); font-size: 13px; }
      .plane .curve { fill: none; stroke: var(--look-text); stroke-width: 2; } .plane .rule { stroke: var(--look-rule); stroke-width: 1; }
      .plane .dot { fill: var(--look-text); stroke: var(--look-activations); }`;

    constructor({name, x, y, width = 340, height = 220}) {
      Object.assign(this, {left: 50, right: width - 10, top: 22, bottom: height - 40});
      this.x = this.scale(x, this.left, this.right);
      this.y = this.scale(y, this.bottom, this.top);
      this.node = make("svg", {class: "plane", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name});
      for (const value of Plane.ticks(x)) {
        this.line([[value, y.from], [value, y.to]], {class: "rule"});
        this.words(this.x(value), this.bottom + 12, (x.write || brief)(value));
      }
      for (const value of Plane.ticks(y)) {
        this.line([[x.from, value], [x.to, value]], {class: "rule"});
        this.words(this.left - 6, this.y(value), (y.write || brief)(value), "end");
      }
      this.words((this.left + this.right) / 2, height - 8, x.label);
      this.words(0, 6, y.label, "start");
    }

    scale({from, to, log}, start, end) {
      const f = log ? Math.log10 : value => value;
      return value => start + (end - start) * (f(value) - f(from)) / (f(to) - f(from));
    }

    // Powers of ten, or round steps, at most seven.
    static ticks({from, to, log}) {
      const [low, high] = log ? [Math.log10(from), Math.log10(to)] : [from, to];
      const size = 10 ** Math.floor(Math.log10((high - low) / 6)), step = [1, 2, 5, 10].map(n => n * size).find(n => n >= (high - low) / 6);
      const by = log ? Math.max(Math.round(step), 1) : step, values = [];
      for (let i = Math.ceil(low / by - 1e-9); i * by <= high + 1e-9 * by; i++) values.push(log ? 10 ** (i * by) : +(i * by).toPrecision(12));
      return values;
    }

    line(points, attributes = {}) {
      const path = points.map(([x, y]) => `${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`).join("L");
      this.node.append(make("path", {d: `M${path}`, class: "curve", ...attributes}));
    }

    dot(x, y, attributes = {}) {
      this.node.append(make("circle", {cx: this.x(x).toFixed(1), cy: this.y(y).toFixed(1), r: 5, class: "dot", ...attributes}));
    }

    // Words at a place in pixels.
    words(left, top, content, anchor = "middle") {
      this.node.append(make("text", {x: left.toFixed(1), y: top.toFixed(1), "text-anchor": anchor, "dominant-baseline": "central"}, content));
    }
  }

  parts.Plane = Plane;
})();
