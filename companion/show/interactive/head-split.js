// Numbered cells that slide from (length, hidden) into (heads, length, head_dim), by view and transpose, or wrongly by view alone.
(() => {
  if (customElements.get("head-split")) return;
  const Figure = customElements.get("shape-figure");
  const {make, shape, steps, number, whole, choice} = Figure.parts;

  const LARGEST = 2 ** 53 - 1, WIDEST = 8, LONGEST = 4;  // what fits a phone
  const [SIZE, GAP] = [44, 24];
  const EDGES = {length: "q", heads: "h", head_dim: "d", hidden: "m"};

  function check({length, hidden, heads}) {
    for (const [name, size] of [["length", length], ["hidden", hidden]]) {
      if (size < 0) throw new Error(`Trying to create tensor with negative dimension ${size}: [${length}, ${hidden}]`);
      if (!size) throw new Error(`${name} 0: (${length}, ${hidden}) has no numbers to show`);
    }
    if (heads < 1 || hidden % heads) {
      throw new Error(`the last axis has ${hidden} features, which ${heads} heads do not divide (x (${length}, ${hidden})): hidden must be num_heads * head_dim`);
    }
    if (length > LONGEST || hidden > WIDEST) throw new Error(`(${length}, ${hidden}) is too large to show: at most (${LONGEST}, ${WIDEST})`);
  }

  // What each step makes, as torch has it: names and sizes of the axes, strides, and how a line of code reads.
  function compute(sizes) {
    check(sizes);
    const {length, hidden, heads} = sizes, dim = hidden / heads;
    const x = {code: "x", axes: ["length", "hidden"], sizes: [length, hidden], strides: [hidden, 1]};
    const view = {code: `x.view(${length}, ${heads}, ${dim})`, axes: ["length", "heads", "head_dim"], sizes: [length, heads, dim], strides: [hidden, dim, 1]};
    const transpose = {code: `${view.code}.transpose(0, 1)`, axes: ["heads", "length", "head_dim"], sizes: [heads, length, dim], strides: [dim, hidden, 1]};
    const wrong = {code: `x.view(${heads}, ${length}, ${dim})`, axes: transpose.axes, sizes: transpose.sizes, strides: [length * dim, dim, 1]};
    return {right: [x, view, transpose], wrong: [x, wrong]};
  }

  // Where each number lies: its index along each axis, in the order of memory.
  function places({sizes, strides}) {
    const [blocks, rows, columns] = sizes.length === 2 ? [1, ...sizes] : sizes, steps = strides.length === 2 ? [0, ...strides] : strides;
    const found = [];
    for (let a = 0; a < blocks; a++) for (let b = 0; b < rows; b++) for (let c = 0; c < columns; c++) found[a * steps[0] + b * steps[1] + c * steps[2]] = [a, b, c];
    return found;
  }

  class HeadSplit extends Figure {
    static compute = compute;
    static places = places;
    static css = `.split { display: flex; flex-direction: column; gap: 0.5rem; min-width: 0; max-width: 100%; } code { font-size: 14px; overflow-wrap: anywhere; }
      .field { position: relative; transition: height 0.5s; }
      .cell { position: absolute; inset: 0 auto auto 0; box-sizing: border-box; width: ${SIZE - 4}px; height: ${SIZE}px; display: grid; place-items: center;
        border: 1px solid var(--look-edge); font-variant-numeric: tabular-nums; cursor: default; transition: transform 0.5s;
        background: color-mix(in srgb, var(--look-text) calc(var(--tint) * 1%), var(--look-activations)); }
      @media (prefers-reduced-motion: reduce) { .cell, .field { transition: none; } }
      .astray { border: 2px dashed var(--look-text); } .picked { box-shadow: inset 0 0 0 3px var(--look-focus); }
      .blocks .edges { left: -3px; border-top: 3px solid var(--across); border-inline-start: 3px solid var(--down); }
      .blocks div { position: absolute; font-size: 12px; height: ${GAP - 4}px; line-height: ${GAP - 4}px; white-space: nowrap; }
      .memory { display: grid; grid-template-columns: repeat(auto-fill, minmax(22px, 1fr)); max-width: ${WIDEST * SIZE}px; font-size: 12px; text-align: center; }
      .memory i { font-style: normal; border: 1px solid var(--look-rule); margin: 0 -1px -1px 0; line-height: 22px; }
      .memory .same { background: color-mix(in srgb, var(--look-text) 20%, var(--look-activations)); }
      .memory .picked { font-weight: 700; } .side { flex: 1 1 14rem; min-width: 0; font-size: 14px; display: flex; flex-direction: column; gap: 0.4rem; }
      .steps { flex: 1 1 100%; } .controls input[type=text] { width: 4em; }`;

    start(trace) {
      return {...trace, way: "right", step: 0, picked: 0};
    }

    build() {
      this.heading = make("div");
      this.code = make("code");
      this.cells = Array.from({length: WIDEST * LONGEST}, (_, n) => make("div", {
        class: "cell", role: "option", tabindex: n ? -1 : 0, onfocus: () => this.state.picked !== n && this.set({picked: n}),
        onpointerdown: event => event.currentTarget.focus(), onkeydown: event => this.key(event),
      }, String(n)));
      this.box = make("div", {class: "field", role: "listbox", "aria-label": "numbers"}, this.cells);
      this.blocks = make("div", {class: "blocks", "aria-hidden": "true"});
      this.memory = this.cells.map((_, n) => make("i", {}, String(n)));
      this.line = make("span");
      const field = make("div", {style: "position: relative; margin-inline-start: 3px"}, this.blocks, this.box);
      this.stage.append(make("div", {class: "split"}, this.heading, this.code, field),
        make("div", {class: "side", "aria-hidden": "true"}, this.line, make("div", {class: "memory"}, this.memory)));
      this.steps = steps([""], step => this.set({step}));
      this.way = choice("by", {right: "view, transpose", wrong: "view only (wrong)"}, way => this.set({way, step: compute(this.state)[way].length - 1}));
      const read = text => whole(text, -LARGEST, LARGEST);
      const typed = name => number(name, read, value => this.edit({[name]: value}), why => this.refuse(why));
      this.fields = {length: typed("length"), hidden: typed("hidden"), heads: typed("heads")};
      this.controls.append(this.steps.node, this.way.node, ...Object.values(this.fields).map(each => each.node));
    }

    edit(change) {
      const state = {...this.state, ...change};
      check(state);
      this.set({...change, picked: Math.min(state.picked, state.length * state.hidden - 1)});
    }

    // Arrows go from cell to cell as they lie now: along a row, and down through the blocks.
    key(event) {
      const {made, picked} = this, rows = made.sizes.at(-2), here = places(made), [a, b, c] = here[picked];
      const line = a * rows + b, total = made.sizes.length === 2 ? rows : rows * made.sizes[0], columns = made.sizes.at(-1);
      const to = {ArrowLeft: [line, c - 1], ArrowRight: [line, c + 1], ArrowUp: [line - 1, c], ArrowDown: [line + 1, c], Home: [line, 0], End: [line, columns - 1]}[event.key];
      if (!to) return;
      event.preventDefault();
      const [row, column] = [Math.min(Math.max(to[0], 0), total - 1), Math.min(Math.max(to[1], 0), columns - 1)];
      this.cells[here.findIndex(([x, y, z]) => x * rows + y === row && z === column)].focus();
    }

    show(state) {
      const all = compute(state), {way, step} = state, made = this.made = all[way][step], here = places(made);
      this.picked = state.picked;
      const right = places(all.right[2]), astray = n => way === "wrong" && step === 1 && String(here[n]) !== String(right[n]);
      this.steps.show(step, way === "right" ? ["x", "view", "transpose"] : ["x", "view only"]);
      this.way.show(way);
      for (const [name, field] of Object.entries(this.fields)) field.show(state[name]);
      this.heading.replaceChildren(shape(made.sizes, made.axes));
      this.code.textContent = made.code;
      this.lay(state, made, here, astray);
      const block = here[state.picked][0], named = made.axes.length === 3 ? `${{length: "token", heads: "head"}[made.axes[0]]} ${block}` : "x";
      this.line.textContent = `Memory, in order; filled is what ${named} reads. Each shade above is a token${here.some((_, n) => astray(n)) ? "; dashed is out of place" : ""}.`;
      this.memory.forEach((mark, n) => {
        mark.hidden = n >= here.length;
        mark.className = `${here[n]?.[0] === block ? "same" : ""} ${n === state.picked ? "picked" : ""}`;
      });
      this.say(this.sentence(state, made, here, right, astray));
    }

    // Cells slide to where this step has them: blocks under one another, as torch prints them.
    lay({length, hidden, picked}, made, here, astray) {
      const [blocks, rows, columns] = made.sizes.length === 2 ? [1, ...made.sizes] : made.sizes, high = rows * SIZE + GAP;
      this.cells.forEach((cell, n) => {
        cell.hidden = n >= here.length;
        cell.tabIndex = n === picked ? 0 : -1;
        cell.style.display = cell.hidden ? "none" : "";
        if (cell.hidden) return;
        const [a, b, c] = here[n], token = Math.floor(n / hidden);
        cell.style.transform = `translate(${c * (SIZE - 4)}px, ${a * high + b * SIZE + GAP}px)`;
        cell.style.setProperty("--tint", [4, 16, 28, 40][token % 4]);
        cell.classList.toggle("astray", astray(n));
        cell.classList.toggle("picked", n === picked);
        cell.setAttribute("aria-selected", n === picked);
        cell.setAttribute("aria-label", `${n}, token ${token}${astray(n) ? ", in the wrong place" : ""}`);
      });
      this.box.style.height = `${blocks * high}px`;
      this.box.style.width = `${columns * (SIZE - 4)}px`;
      const names = {length: "token", heads: "head"};
      const size = `width: ${columns * (SIZE - 4)}px; height: ${rows * SIZE}px`, edges = `${EDGES[made.axes.at(-1)]} ${EDGES[made.axes.at(-2)]}`;
      this.blocks.replaceChildren(...Array.from({length: blocks}, (_, a) => [
        make("div", {style: `top: ${a * high}px`}, made.sizes.length === 2 ? "rows are tokens" : `${names[made.axes[0]]} ${a}`),
        make("div", {class: "edges", style: `top: ${a * high + GAP - 3}px; ${size}; --across: var(--look-${edges[0]}); --down: var(--look-${edges[2]})`}),
      ]).flat());
    }

    sentence({length, hidden, heads, picked, way, step}, made, here, right, astray) {
      const dim = hidden / heads, token = Math.floor(picked / hidden), feature = picked % hidden;
      const index = made.sizes.length === 2 ? here[picked].slice(1) : here[picked];
      const sum = index.map((i, axis) => `${i}·${made.strides[axis]}`).join(" + ");
      const at = `[${index.join(", ")}] of (${made.sizes.join(", ")}), strides (${made.strides.join(", ")}): ${sum} = ${picked} in memory, feature ${feature} of token ${token}`;
      if (way === "right" || !step) return `${at}, which belongs to head ${Math.floor(feature / dim)}.`;
      const wrong = here.filter((_, n) => astray(n)).length;
      return `${at}. It belongs at [${right[picked].join(", ")}]${astray(picked) ? "" : ", where it is"}. The shape is right, and ${wrong} of ${here.length} numbers are in the wrong place: `
        + `head 0 reads the first ${length * dim} numbers in memory, which are tokens, not heads.`;
    }
  }

  customElements.define("head-split", HeadSplit);
})();
