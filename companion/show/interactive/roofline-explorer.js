// A layer under a machine's roofline: what its steps cost comes from the package's polynomials, and is evaluated here.
(() => {
  if (customElements.get("roofline-explorer")) return;
  const Figure = customElements.get("shape-figure");
  const {make, chip, Plane, quantity, choice, select} = Figure.parts;

  const LONGEST = 2 ** 17, MOST = 2 ** 16, ROW = 16;
  const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];
  const powers = most => Array.from({length: Math.log2(most) + 1}, (_, i) => 2 ** i);

  // Which polynomials hold: the paths that a call takes through the layer.
  function phase({batch, q, kv}) {
    if (q === 1) return "decode";
    return (q === kv ? "prompt" : "chunk") + (batch === 1 ? ", alone" : "");
  }

  // Terms are [coefficient, exponents of batch, q_len and kv_len].
  const value = (terms, {batch, q, kv}) => terms.reduce((sum, [number, b, i, j]) => sum + number * batch ** b * q ** i * kv ** j, 0);

  // FLOPs and bytes of each step, the least seconds on a machine, and by which of the two they are.
  function steps(costs, lengths, machine) {
    return Object.entries(costs[phase(lengths)]).map(([name, [flopTerms, byteTerms]]) => {
      const flops = value(flopTerms, lengths), bytes = value(byteTerms, lengths);
      const computing = flops / machine.flops, moving = bytes / machine.bytes;
      return {name, flops, bytes, seconds: Math.max(computing, moving), bound: computing > moving ? "FLOPs" : "bytes"};
    });
  }

  // The sums over the steps that `chosen` takes.
  function total(costs, lengths, chosen = () => true) {
    const found = Object.entries(costs[phase(lengths)]).filter(([name]) => chosen(name));
    const sum = kind => found.reduce((all, [, terms]) => all + value(terms[kind], lengths), 0);
    return {flops: sum(0), bytes: sum(1)};
  }

  // From which batch on computing takes longer than moving; null if it never does.
  function crossover(costs, {q, kv}, machine, names) {
    const chosen = name => !names || names.includes(name);
    const computes = batch => {
      const {flops, bytes} = total(costs, {batch, q, kv}, chosen);
      return flops / machine.flops > bytes / machine.bytes;
    };
    let low = 1, high = 2 ** 40;
    if (computes(low)) return low;
    if (!computes(high)) return null;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (computes(middle)) high = middle;
      else low = middle;
    }
    return high;
  }

  // Three digits with a prefix: 12.3 G, 45.6 µ.
  function amount(number, unit = "") {
    if (!number) return `0 ${unit}`;
    if (number < 1) {
      const power = Math.min(Math.ceil(-Math.log10(number) / 3 - 1e-9), 4);
      return `${+(number * 1000 ** power).toPrecision(3)} ${["", "m", "µ", "n", "p"][power]}${unit}`;
    }
    const [digits, exponent] = number.toExponential(2).split("e").map(Number), power = Math.min(Math.floor(exponent / 3), PREFIXES.length - 1);
    return `${+(digits * 10 ** (exponent - 3 * power)).toPrecision(3)} ${PREFIXES[power]}${unit}`;
  }

  class RooflineExplorer extends Figure {
    static steps = steps;
    static crossover = crossover;
    static css = `${Plane.css} .stage { align-items: flex-start; gap: 1rem; } .roof { flex: 1 1 340px; min-width: 0; } .plane .lead { stroke: var(--look-edge); stroke-width: 1; }
      table { flex: 1 1 300px; border-collapse: collapse; font-size: 14px; line-height: 1.25; font-variant-numeric: tabular-nums; } th, td { padding: 1px 0.5rem 1px 0; text-align: start; font-weight: 400; white-space: nowrap; }
      thead th { color: var(--look-muted); } td:last-child { width: 34%; padding: 0; } td.time { text-align: end; } tr.all > * { border-top: 1px solid var(--look-edge); }
      .bar { display: block; height: 12px; min-width: 1px; border: 1px solid var(--look-text); box-sizing: border-box; } .bar.FLOPs { background: var(--look-text); }
      .bar.bytes { background: repeating-linear-gradient(135deg, var(--look-edge) 0 1px, transparent 1px 4px); } fieldset { flex: 1 1 100%; }
      @media (max-width: 480px) { .readout { position: static; max-height: none; } }`;

    start({start}) {
      return {...start};
    }

    build({models, machines, examples}) {
      const refuses = why => this.refuse(why);
      const size = (label, name, most) => quantity(label, {least: 1, most, stops: powers(most)}, value => this.set(this.fit({[name]: value})), refuses);
      this.q = size("q_len", "q", LONGEST);
      this.kv = size("kv_len", "kv", LONGEST);
      this.batch = size("batch", "batch", MOST);
      const pick = (part, words, name, options) => part(words, Object.fromEntries(Object.entries(options).map(([key, each]) => [key, each.label || key])), value => this.set({[name]: value}));
      this.model = pick(choice, "a layer of", "model", models);
      this.machine = pick(select, "machine", "machine", machines);
      const taps = Object.entries(examples).map(([words, state]) => make("button", {type: "button", onclick: () => this.set(state)}, words));
      this.controls.append(...taps, this.q.node, this.kv.node, this.batch.node, this.model.node, this.machine.node);
      this.roof = make("div", {class: "roof"});
      this.table = make("table");
      this.stage.append(this.roof, this.table);
      new ResizeObserver(() => this.roof.clientWidth !== this.width && this.draw()).observe(this.roof);
    }

    // New tokens are among the keys: the one length takes the other along.
    fit(change) {
      const {q, kv} = {...this.state, ...change};
      return q <= kv ? change : "q" in change ? {...change, kv: q} : {...change, q: kv};
    }

    show(state, {models, machines}) {
      const machine = machines[state.machine], costs = models[state.model][machine.dtype];
      this.made = steps(costs, state, machine).filter(step => step.bytes);
      for (const part of ["q", "kv", "batch", "model", "machine"]) this[part].show(state[part]);
      const all = this.made.reduce((sum, step) => sum + step.seconds, 0), longest = Math.max(...this.made.map(step => step.seconds));
      const cell = (words, name) => make("td", {class: name}, words);
      const row = step => make("tr", {}, make("th", {scope: "row"}, step.name), cell(step.bound), cell(amount(step.seconds, "s"), "time"),
        make("td", {}, make("span", {class: `bar ${step.bound}`, style: `width: ${100 * step.seconds / longest}%`})));
      this.table.replaceChildren(make("thead", {}, make("tr", {}, ["step", "bound by", "least time"].map(name => make("th", {scope: "col"}, name)), make("td"))),
        make("tbody", {}, this.made.map(row), make("tr", {class: "all"}, make("th", {scope: "row"}, "layer"), cell(""), cell(amount(all, "s"), "time"), make("td"))));
      this.draw();
      this.say(...this.sentence(state, machine, costs, all));
    }

    sentence(state, machine, costs, all) {
      const {flops, bytes} = total(costs, state), moving = this.made.filter(step => step.bound === "bytes").reduce((sum, step) => sum + step.seconds, 0);
      const ridge = machine.flops / machine.bytes, weights = ["query", "key", "value", "output", "feed-forward"];
      const said = names => {
        const batch = crossover(costs, state, machine, names);
        return batch === null ? "at no batch, as each text brings bytes of its own" : batch === 1 ? "at any batch" : `from batch ${batch.toLocaleString("en")} on`;
      };
      return [`${amount(flops, "FLOPs")} and ${amount(bytes, "B")}: ${+(flops / bytes).toPrecision(3)} FLOPs for each byte, where this machine's ridge is at ${+ridge.toPrecision(3)}. The layer takes at least `,
        `${amount(all, "s")}, and ${Math.round(100 * moving / all)}% of that are steps bound by bytes. With q_len `, chip(state.q, "q_len"), " and kv_len ", chip(state.kv, "kv_len"),
        `, FLOPs bound the products with weights ${said(weights)}, and the whole layer ${said()}.`];
    }

    // The roof, and on it a dot for each step that multiplies; their names stand below, in the order of the dots.
    draw() {
      const {machines} = this.trace, machine = machines[this.state.machine], ridge = machine.flops / machine.bytes;
      const dots = this.made.filter(step => step.flops).map(step => ({...step, at: step.flops / step.bytes})).sort((a, b) => a.at - b.at);
      this.width = this.roof.clientWidth;
      const width = Math.max(Math.min(this.width || 340, 460), 320), from = Math.min(0.1, dots[0].at / 2), roof = at => Math.min(machine.flops, at * machine.bytes);
      const share = name => 7.2 * name.length / (width - 60), reach = dots.map(({at, name}) => at * (at / from) ** (share(name) / (1 - share(name))));  // room for the names
      const to = Math.max(...reach, 10 * ridge);
      const names = `${dots.map(({name, at, bound}) => `${name} ${+at.toPrecision(3)}, ${bound}`).join("; ")}`;
      const plane = new Plane({name: `Roofline with its ridge at ${+ridge.toPrecision(3)} FLOPs per byte. FLOPs per byte of each step, and what bounds it: ${names}`,
        width, height: 330, x: {from, to, log: true, label: "FLOPs per byte", write: at => at < 1 ? String(at) : amount(at).replace(" ", "")},
        y: {from: machine.bytes * from / 30, to: 3 * machine.flops, log: true, label: "FLOP/s", write: at => amount(at).replace(" ", "")}});
      plane.line([[from, roof(from)], [ridge, machine.flops], [to, machine.flops]]);
      plane.line([[ridge, machine.flops], [ridge, machine.bytes * from / 30]], {class: "curve lead", "stroke-dasharray": "2 3"});
      const placed = [];  // a name is above those that the line to it would cross
      for (const {name, at} of dots) {
        const x = plane.x(at), row = 1 + Math.max(-1, ...placed.filter(({end}) => end > x - 6).map(each => each.row)), top = plane.bottom - 10 - ROW * row;
        placed.push({row, end: x + 7.2 * name.length});
        plane.node.append(make("path", {d: `M${x.toFixed(1)} ${plane.y(roof(at)).toFixed(1)}V${(top - 7).toFixed(1)}`, class: "curve lead"}));
        plane.dot(at, roof(at));
        plane.words(x, top, name, "start");
      }
      this.roof.replaceChildren(plane.node);
    }
  }

  customElements.define("roofline-explorer", RooflineExplorer);
})();
