// One decoder layer, opened: its tensors as boxes with the sides of their axes, and for each its line, its cost, its values.
(() => {
  if (customElements.get("layer-xray")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, amount, chip, shape, steps, choice} = Figure.parts;

  const LETTERS = axis => chip("", axis).getAttribute("data-axis");
  const CELLS = 16, WIDE = 192, CELL = 28;  // cells, px of the heat map, px of a cell at most
  const [LEFT, TOP, BELOW, SLANT] = [26, 10, 16, 0.45];

  // As companion.show.figures.shapes has it: 4.5 px for each doubling.
  const side = size => 3 + 4.5 * Math.log2(Math.max(size, 1));

  // The last two axes face the reader, the heads lead away.
  function sides(sizes) {
    const [down, across] = [1, ...sizes].slice(-2), heads = sizes.length > 3 ? sizes.at(-3) : 1;
    return {wide: side(across), high: side(down), slant: heads > 1 ? SLANT * side(heads) : 0};
  }

  // The values as they were recorded: -127 to 127, -128 where a score is masked.
  function decoded(text) {
    return Array.from(atob(text), letter => (letter.charCodeAt(0) << 24) >> 24);
  }

  // How many values share a cell, and of which matrix.
  function described(sizes) {
    const [rows, columns] = [1, ...sizes].slice(-2);
    const ways = [rows, columns].map(size => Math.ceil(size / Math.min(size, CELLS)));
    const of = sizes.length > 3 && sizes.at(-3) > 1 ? `head 0 of ${sizes.at(-3)}, ` : "";
    const shared = ways[0] * ways[1] > 1 ? `each cell the largest of ${ways[0] > 1 ? `${ways[0]} × ` : ""}${ways[1]} values` : "each cell a value";
    return `${of}${rows} × ${columns}: ${shared}`;
  }

  class LayerXray extends Figure {
    static side = side;
    static sides = sides;
    static decoded = decoded;
    static described = described;
    static css = `
      .boxes { display: flex; flex-wrap: wrap; gap: 0.25rem 0.4rem; align-items: flex-start; flex: 1 1 100%; position: relative; }
      .boxes button { display: grid; align-content: start; min-height: 0; padding: 0.3rem 0.4rem; border-color: transparent; background: none; font-size: 12px; line-height: 15px; text-align: start; white-space: nowrap; }
      .boxes button b { font-weight: 600; } .boxes button[aria-pressed=true] { border: 2px solid var(--look-text); padding: calc(0.3rem - 1px) calc(0.4rem - 1px); }
      .boxes svg { overflow: visible; font-size: 12px; fill: var(--look-text); display: block; }
      .boxes text { dominant-baseline: central; } .boxes tspan { font-style: italic; font-weight: 600; }
      .absent { opacity: 0.55; } .detail { display: grid; grid-template-columns: 200px minmax(0, 1fr); gap: 0.5rem 1.25rem; flex: 1 1 100%; }
      .heat { min-height: 272px; font-size: 13px; color: var(--look-muted); } .heat svg { display: block; width: 192px; height: 192px; overflow: visible; }
      .heat .scale { display: flex; gap: 0.35rem; align-items: center; } .scale i { width: 64px; height: 10px; border: 1px solid var(--look-edge);
        background: linear-gradient(to right, color-mix(in srgb, var(--look-negative) calc(100% * var(--look-most)), transparent), transparent, color-mix(in srgb, var(--look-positive) calc(100% * var(--look-most)), transparent)); }
      .facts { margin: 0; display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.3rem 0.8rem; align-content: start; font-size: 14px; }
      .facts dt { color: var(--look-muted); } .facts dd { margin: 0; } .facts code { font-size: 13px; overflow-wrap: anywhere; }
      .facts .line { min-height: 4.4em; }
      @media (max-width: 560px) { .boxes { flex-wrap: nowrap; overflow-x: auto; min-height: 138px; padding: 3px; } .detail { grid-template-columns: minmax(0, 1fr); }
        .facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { margin-bottom: 0.4rem; } .facts .line { min-height: 5.8em; } }`;

    start() {
      return {call: "prefill", step: 4};
    }

    build({boxes, calls}) {
      this.boxes = boxes.map((box, i) => {
        const parts = {name: make("b", {}, box.name), sizes: make("span", {}), drawn: make("svg", {"aria-hidden": "true"})};
        const node = make("button", {type: "button", tabindex: -1, onclick: () => this.set({step: i}), onkeydown: event => this.key(event, i)},
          parts.name, parts.sizes, parts.drawn);
        return {...parts, node};
      });
      this.strip = make("div", {class: "boxes", role: "group", "aria-label": "the tensors in order"}, this.boxes.map(({node}) => node));
      this.cells = Array.from({length: CELLS * CELLS}, () => make("rect", {stroke: "var(--look-rule)"}));
      this.marks = make("path", {fill: "var(--look-negative)"});
      this.struck = make("path", {stroke: "var(--look-edge)", fill: "none"});
      this.heat = make("svg", {viewBox: `0 0 ${WIDE} ${WIDE}`, "aria-hidden": "true"}, this.cells, this.marks, this.struck);
      this.low = make("span", {});
      this.high = make("span", {});
      this.how = make("div", {});
      this.facts = Object.fromEntries(["shape", "companion", "Hugging Face", "cost"].map(name => [name, make("dd", {class: name[0].match(/[cH]/) && name !== "cost" ? "line" : ""})]));
      const facts = Object.entries(this.facts).flatMap(([name, value]) => [make("dt", {}, name), value]);
      this.stage.append(this.strip, make("div", {class: "detail"},
        make("div", {class: "heat"}, this.heat, make("div", {class: "scale"}, this.low, make("i", {}), this.high), this.how), make("dl", {class: "facts"}, facts)));
      const tokens = name => calls[name][0].shape.at(-2);
      const words = {prefill: `prefill: ${tokens("prefill")} tokens`, decode: `decode: ${tokens("decode")} more`};
      this.call = choice("call", words, call => this.set({call}));
      this.steps = steps(boxes.map(({name}) => name), step => this.set({step}));
      this.controls.append(this.call.node, this.steps.node);
    }

    // Arrows go from box to box, which is one stop for the Tab key.
    key(event, i) {
      const last = this.boxes.length - 1, to = {ArrowLeft: i - 1, ArrowUp: i - 1, ArrowRight: i + 1, ArrowDown: i + 1, Home: 0, End: last}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const step = Math.min(Math.max(to, 0), last);
      this.set({step});
      this.boxes[step].node.focus({preventScroll: true});
    }

    // What a call made at a step; weights are the same in both.
    static made({calls}, call, step) {
      return (calls[call] ?? calls.prefill)[step] ?? calls.prefill[step];
    }

    show(state, trace) {
      const step = Math.min(Math.max(Math.trunc(state.step) || 0, 0), trace.boxes.length - 1);
      const call = state.call in trace.calls ? state.call : "prefill";
      this.boxes.forEach(({node, sizes, drawn}, i) => {
        const made = LayerXray.made(trace, call, i), words = `(${made.shape.join(", ")}${made.shape.length === 1 ? "," : ""})`;
        if (sizes.textContent !== words) this.draw(drawn, made.shape, trace.boxes[i]);
        sizes.textContent = words;
        node.setAttribute("aria-pressed", i === step);
        node.tabIndex = i === step ? 0 : -1;
        node.classList.toggle("absent", i > 0 && !made.code);
      });
      const current = this.boxes[step].node;
      this.strip.scrollLeft = current.offsetLeft - (this.strip.clientWidth - current.offsetWidth) / 2;
      const made = LayerXray.made(trace, call, step);
      this.paint(made);
      this.call.show(call);
      this.steps.show(step);
      this.tell(trace, call, step, made);
    }

    draw(svg, sizes, {kind, axes}) {
      const {wide, high, slant} = sides(sizes), y = TOP + slant, [down, across] = [1, ...sizes].slice(-2);
      const names = axes.length === 1 ? ["", ...axes] : axes;
      const lid = slant && make("path", {fill: "none", stroke: "var(--look-edge)",
        d: `M${LEFT} ${y}l${slant} ${-slant}h${wide}l${-slant} ${slant}M${LEFT + wide} ${y}l${slant} ${-slant}v${high}l${-slant} ${slant}`});
      const face = make("rect", {x: LEFT, y, width: wide, height: high, rx: kind === "activations" ? Math.min(6, high / 2) : 0,
        fill: `var(--look-${kind})`, stroke: "var(--look-edge)", "stroke-width": kind === "weights" ? 2 : 1});
      const lines = kind === "cached" ? Array.from({length: Math.ceil((wide + high) / 7)}, (_, i) => 7 * (i + 1)).filter(n => n < wide + high).map(n =>
        `M${LEFT + Math.max(n - high, 0)} ${y + Math.min(n, high)}L${LEFT + Math.min(n, wide)} ${y + Math.max(n - wide, 0)}`).join("") : "";
      const edge = (d, axis, size, x, at, anchor) => {
        if (size === 1) return [];
        const ink = LETTERS(axis) ? `var(--look-${LETTERS(axis)})` : "var(--look-muted)";
        return [make("path", {d, stroke: ink, "stroke-width": 3, fill: "none"}),
          make("text", {x, y: at, "text-anchor": anchor}, String(size), make("tspan", {fill: ink}, LETTERS(axis) ?? ""))];
      };
      svg.replaceChildren(...(lid ? [lid] : []), face, make("path", {d: lines, stroke: "var(--look-edge)", "stroke-opacity": 0.45}),
        ...edge(`M${LEFT} ${y + high}h${wide}`, names.at(-1), across, LEFT + wide / 2, y + high + 9, "middle"),
        ...edge(`M${LEFT} ${y}v${high}`, names.at(-2), down, LEFT - 4, y + high / 2 + 1, "end"),
        ...(slant ? edge(`M${LEFT} ${y}l${slant} ${-slant}`, names.at(-3), sizes.at(-3), LEFT - 4, y - slant, "end") : []));
      svg.setAttribute("width", Math.ceil(LEFT + wide + slant + 4));
      svg.setAttribute("height", Math.ceil(y + high + BELOW));
    }

    // The values: a fill for the sign, a wedge where it is negative, a stroke where a score is masked.
    paint({shape: sizes, cells, most}) {
      const values = decoded(cells), columns = Math.min(CELLS, sizes.at(-1));
      const [width, height] = [columns, values.length / columns].map(count => Math.min(CELL, WIDE / count));
      let wedges = "", strokes = "";
      this.cells.forEach((cell, i) => {
        const value = values[i], x = width * (i % columns), y = height * Math.floor(i / columns);
        cell.setAttribute("visibility", i < values.length ? "visible" : "hidden");
        if (i >= values.length) return;
        const masked = value === -128;
        for (const [name, size] of Object.entries({x, y, width, height})) cell.setAttribute(name, size);
        cell.setAttribute("class", `rect-value ${value < 0 ? "negative" : "positive"}`);
        cell.style.setProperty("--strength", masked ? 0 : Math.abs(value) / 127);
        if (masked) strokes += `M${x + 2} ${y + height - 2}l${width - 4} ${4 - height}`;
        else if (value < 0) wedges += `M${x} ${y}h4l-4 4z`;
      });
      this.marks.setAttribute("d", wedges);
      this.struck.setAttribute("d", strokes);
      this.low.textContent = brief(-most);
      this.high.textContent = brief(most);
      this.how.textContent = described(sizes);
    }

    tell(trace, call, step, made) {
      const {name, kind, axes} = trace.boxes[step];
      const count = made.shape.reduce((a, b) => a * b, 1), first = LayerXray.first(trace, call, step);
      const [flops, read, written] = made.cost;
      const costs = kind === "weights" ? `${count.toLocaleString("en")} parameters, ${amount(4 * count, "B")} in float32`
        : !made.code ? (step ? "nothing" : "the layer’s input")
          : first !== step ? `counted at “${trace.boxes[first].name}”, of the same line`
            : `${amount(flops)} FLOPs, reads ${amount(read, "B")}, writes ${amount(written, "B")}`;
      const absent = step ? "no line runs: the one query is the last, and sees every key" : "what comes in";
      this.facts.shape.replaceChildren(shape(made.shape, axes), `, ${kind}`);
      this.facts.companion.replaceChildren(made.code ? make("code", {}, made.code) : absent);
      this.facts["Hugging Face"].replaceChildren(made.theirs ? make("code", {}, made.theirs) : made.code ? "within the lines around" : absent);
      this.facts.cost.textContent = costs;
      this.say(`${call}, ${step + 1} of ${trace.boxes.length}: ${name} (${made.shape.join(", ")}), ${kind}. ${costs[0].toUpperCase()}${costs.slice(1)}.`);
    }

    // The first tensor of the line that makes this one, with which the line's cost stands.
    static first(trace, call, step) {
      const made = LayerXray.made(trace, call, step);
      if (made.cost.some(Boolean) || !made.code) return step;
      const same = trace.boxes.findIndex((_, i) => LayerXray.made(trace, call, i).code === made.code);
      return same < 0 ? step : same;
    }
  }

  customElements.define("layer-xray", LayerXray);
})();
