// RoPE on one real query and key: their pairs are turned here, in float32 as torch turns them, by frequencies of the package.
(() => {
  if (customElements.get("rope-dial")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, Matrix, Plane, quantity, choice} = Figure.parts;

  const f32 = Math.fround, FARTHEST = 2 ** 24, SLIDES = 1024, SAMPLES = 128, ROW = 8;
  const PAIRINGS = {
    halves: d => `halves: i and i + ${d / 2}`, neighbors: () => "neighbors: 2i and 2i + 1, rows permuted", mixed: () => "neighbors, rows not permuted (wrong)",
  };

  // The two features of each pair.
  const places = (i, pairs, pairing) => pairing === "halves" ? [i, i + pairs] : [2 * i, 2 * i + 1];

  // From pairs half a head apart to pairs of neighbors, as the rows of W_q and W_k are stored for the other pairing.
  const permuted = x => x.map((_, j) => x[(j >> 1) + (j % 2) * x.length / 2]);

  // The angle of each pair: position × frequency, rounded to float32 once.
  const angles = (position, frequencies) => frequencies.map(frequency => f32(position * f32(frequency)));

  function rotate(x, position, {frequencies, magnitude}, pairing) {
    const turned = [...x];
    angles(position, frequencies).forEach((angle, i) => {
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)].map(value => f32(f32(value) * magnitude));
      const [a, b] = places(i, frequencies.length, pairing);
      turned[a] = f32(f32(x[a] * cos) - f32(x[b] * sin));
      turned[b] = f32(f32(x[b] * cos) + f32(x[a] * sin));
    });
    return turned;
  }

  // What each pair adds to the product of query and key, and the score: their sum over √head_dim.
  function meet(query, key, m, n, scaling, pairing) {
    const stored = x => pairing === "neighbors" ? permuted(x) : x;
    const q = rotate(stored(query), m, scaling, pairing), k = rotate(stored(key), n, scaling, pairing);
    const adds = scaling.frequencies.map((_, i) => places(i, scaling.frequencies.length, pairing).reduce((sum, at) => f32(sum + f32(q[at] * k[at])), 0));
    return {q, k, adds, score: f32(adds.reduce((sum, each) => f32(sum + each), 0) / Math.sqrt(query.length))};
  }

  const signed = value => value.toFixed(3).replace("-", "−");

  class RopeDial extends Figure {
    static rotate = rotate;
    static meet = meet;
    static permuted = permuted;
    static css = `${Plane.css} .stage { align-items: flex-start; gap: 1rem 1.5rem; } .dial { display: block; } .dial text { fill: var(--look-text); font-size: 14px; }
      .axes-shape { display: none; } .matrix [role=gridcell] { width: 44px; height: 44px; padding: 26px 0 0; font-size: 12px; line-height: 1; place-items: start center; cursor: pointer; }
      [role=gridcell]::after { content: ""; position: absolute; left: 50%; top: 15px; width: 12px; border-top: 2px solid; transform-origin: 0 0; transform: rotate(var(--turn, 0deg)); }
      .plane .plain { stroke-dasharray: 2 3; stroke: var(--look-edge); } fieldset { flex: 1 1 100%; } .moves { display: flex; gap: 0.5rem; } .curve-of { flex: 1 1 100%; min-width: 0; }`;

    start({scalings}) {
      return {m: 12, n: 4, pair: 5, pairing: "halves", scaling: Object.keys(scalings)[0]};
    }

    build({query, scalings, names}) {
      const pairs = query.length / 2, refuses = why => this.refuse(why);
      const position = (name, label) => quantity(label, {least: 0, most: FARTHEST, stops: Array.from({length: SLIDES}, (_, i) => i)}, value => this.set({[name]: value}), refuses);
      this.m = position("m", `query “${names[0]}” at m`);
      this.n = position("n", `key “${names[1]}” at n`);
      const move = by => make("button", {type: "button", onclick: () => this.move(by)}, `both ${by > 0 ? "+" : "−"}${Math.abs(by)}`);
      this.pairing = choice("pairs of features", Object.fromEntries(Object.entries(PAIRINGS).map(([key, words]) => [key, words(query.length)])), pairing => this.set({pairing}));
      this.scaling = choice("scaling", Object.fromEntries(Object.entries(scalings).map(([key, {label}]) => [key, label])), scaling => this.set({scaling}));
      this.controls.append(this.m.node, this.n.node, make("div", {class: "moves"}, [1, 100, -100].map(move)), this.pairing.node, this.scaling.node);
      this.dial = make("div");
      this.strip = new Matrix({name: "what each pair adds", rows: pairs / ROW, columns: ROW, picks: (i, j) => this.set({pair: ROW * i + j})});
      this.strip.cells.flat().forEach((cell, i) => cell.setAttribute("aria-label", `pair ${i}`));
      this.curve = make("div", {class: "curve-of"});
      this.stage.append(this.dial, this.strip.node, this.curve);
      new ResizeObserver(() => this.plot(this.state, this.trace)).observe(this.curve);
    }

    // The same distance elsewhere in the text.
    move(by) {
      const {m, n} = this.state, least = Math.min(m, n), most = Math.max(m, n);
      const step = Math.min(Math.max(by, -least), FARTHEST - most);
      this.set({m: m + step, n: n + step});
    }

    show(state, trace) {
      const {m, n, pair, pairing} = state, {query, key, scalings, names} = trace, scaling = scalings[state.scaling];
      const made = this.made = meet(query, key, m, n, scaling, pairing);
      const largest = Math.max(...made.adds.map(Math.abs)), turns = angles(m - n, scaling.frequencies);
      for (const part of ["m", "n", "pairing", "scaling"]) this[part].show(state[part]);
      this.strip.show(Array.from({length: this.strip.rows}, (_, i) => made.adds.slice(ROW * i, ROW * i + ROW)), {largest, write: value => brief(value, 2)});
      this.strip.mark(undefined, (i, j) => ROW * i + j === pair);
      this.strip.cells.flat().forEach((cell, i) => {
        cell.style.setProperty("--turn", `${-turns[i]}rad`);
        cell.setAttribute("aria-label", `pair ${i}: adds ${brief(made.adds[i])}`);
      });
      this.dial.replaceChildren(this.drawn(state, trace, made));
      this.plot(state, trace);
      const near = meet(query, key, Math.max(m - n, 0), Math.max(n - m, 0), scaling, pairing).score, [a, b] = places(pair, made.adds.length, pairing);
      const [atM, atN] = [m, n].map(position => brief(angles(position, scaling.frequencies)[pair]));
      this.say(`“${names[0]}” at ${m}, “${names[1]}” at ${n}, distance ${m - n}: score ${signed(made.score)}; the same distance at the start of the text ${signed(near)}${Math.abs(made.score - near) > 2e-3 ? ", as float32 rounds angles so large" : ""}. `
        + `Pair ${pair}, features ${a} and ${b}: ${+scaling.frequencies[pair].toPrecision(3)} radians per position turn the query by ${atM} and the key by ${atN}, and it adds ${brief(made.adds[pair])}`
        + (pairing === "mixed" ? ". The weights are for halves: another score, and no error" : "") + (n > m ? ". The key comes after the query: a causal mask would hide it" : ""));
    }

    // One pair of the query and of the key as arrows, where they were (thin) and where they are.
    drawn({pair, pairing}, {query, key, names}, made) {
      const at = places(pair, made.adds.length, pairing), size = 200, middle = size / 2, stored = x => pairing === "neighbors" ? permuted(x) : x;
      const points = Object.entries({q: [stored(query), made.q], k: [stored(key), made.k]}).map(([name, both]) => [name, ...both.map(x => at.map(i => x[i]))]);
      const longest = Math.max(...points.flat().filter(Array.isArray).map(point => Math.hypot(...point))) || 1;
      const place = ([x, y], factor = 1) => [middle + 78 * factor * x / longest, middle - 78 * factor * y / longest].map(value => +value.toFixed(1));
      const line = (point, attributes) => make("path", {d: `M${middle} ${middle}L${place(point).join(" ")}`, fill: "none", stroke: "var(--look-text)", ...attributes});
      const parts = points.flatMap(([name, before, after]) => {
        const [x, y] = place(after), radius = 78 * Math.hypot(...after) / longest, [left, top] = place(after, (radius + 14) / (radius || 1));
        return [make("circle", {cx: middle, cy: middle, r: radius, fill: "none", stroke: "var(--look-rule)"}), line(before, {"stroke-width": 1, "stroke-dasharray": "2 3"}),
          line(after, {"stroke-width": name === "q" ? 3 : 2, "stroke-dasharray": name === "q" ? null : "6 3"}), make("circle", {cx: x, cy: y, r: 4, fill: "var(--look-text)"}),
          make("text", {x: left, y: top, "text-anchor": "middle", "dominant-baseline": "central"}, name)];
      });
      const words = `pair ${pair} as arrows: ${points.map(([name, before, after]) => `${name} from (${before.map(x => brief(x)).join(", ")}) to (${after.map(x => brief(x)).join(", ")})`).join("; ")}`;
      parts.push(make("text", {x: 0, y: 8, "dominant-baseline": "central"}, `pair ${pair}`));
      return make("svg", {class: "dial", viewBox: `0 0 ${size} ${size}`, width: size, height: size, role: "img", "aria-label": words}, parts);
    }

    // The score over the distance, as far as it has to reach; without the scaling it is dotted.
    plot({m, n, scaling, pairing}, {query, key, scalings}) {
      const distance = m - n, width = Math.max(Math.min(this.curve.clientWidth, 740), 300);
      let reach = SAMPLES / 2;
      while (reach < Math.abs(distance)) reach *= 4;
      const wanted = [scaling, pairing, reach, width].join(), first = Object.keys(scalings)[0];
      if (this.plotted?.wanted !== wanted) {
        const curve = name => Array.from({length: 2 * SAMPLES + 1}, (_, i) => Math.round((i - SAMPLES) * reach / SAMPLES))
          .map(d => [d, meet(query, key, Math.max(d, 0), Math.max(-d, 0), scalings[name], pairing).score]);
        this.plotted = {wanted, lines: [...new Set([first, scaling])].map(curve)};
      }
      const scores = [...this.plotted.lines.flat().map(([, score]) => score), this.made.score], [low, high] = [Math.min(...scores), Math.max(...scores)];
      const plane = new Plane({name: `The score over the distance m − n from ${-reach} to ${reach}: ${brief(this.made.score)} at ${distance}`, width, height: 200,
        x: {from: -reach, to: reach, label: "distance m − n"}, y: {from: low - 0.1 * (high - low), to: high + 0.1 * (high - low), label: "score"}});
      this.plotted.lines.forEach((points, i, lines) => plane.line(points, {class: i < lines.length - 1 ? "curve plain" : "curve"}));
      if (scaling !== first) plane.words(plane.right, 6, "dotted: without the scaling", "end");
      plane.dot(distance, this.made.score, {r: 6});
      this.curve.replaceChildren(plane.node);
    }
  }

  customElements.define("rope-dial", RopeDial);
})();
