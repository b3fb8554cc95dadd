// One program of the attention kernel, line by line, as Triton's interpreter ran it: nothing is computed here but sums of bytes.
(() => {
  if (customElements.get("gpu-tile")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, shape, steps, choice} = Figure.parts;

  const KEPT = ["row_max", "row_sum", "acc", "scores", "weights", "rescale"];
  const AXES = {row_max: ["q_len"], row_sum: ["q_len"], rescale: ["q_len"], acc: ["q_len", "head_dim"], scores: ["q_len", "kv_len"],
    weights: ["q_len", "kv_len"], query: ["q_len", "head_dim"], key: ["kv_len", "head_dim"], value: ["kv_len", "head_dim"]};

  // What a program holds when `step` has run: names in registers, tiles in shared memory, what it read and which tiles it took.
  function at({lines, runs, block}, {form, program, step}) {
    const held = {registers: {}, shared: {}, read: [], bytes: 0, taken: [], tile: null, stored: false, numbers: {}};
    runs[form][program].slice(0, step + 1).forEach(([line, values, load]) => {
      const named = Object.entries(lines[line][2]);
      if (load) {
        const [matrix, row, bytes] = load;
        if (matrix === "key") {  // a new tile: of the one before nothing is left but what it added
          for (const name of ["scores", "weights", "rescale"]) delete held.registers[name];
          held.taken.push(held.tile = row / block);
        }
        if (matrix !== "query") held.shared = {query: held.shared.query};
        held.shared[matrix] = {shape: named[0][1], row, values: values[0]};
        held.read.push({matrix, row});
        held.bytes += bytes;
      } else named.forEach(([name, sizes], i) => {
        if (KEPT.includes(name)) held.registers[name] = {shape: sizes, values: values[i]};
        else if (!sizes.length) held.numbers[name] = values[i];
      });
      if (!lines[line][0] && held.taken.length) held.tile = null;  // the loop is left
      held.stored = line === lines.length - 1;
      held.line = line;
    });
    return held;
  }

  // What the lines are for that need no more than a word.
  const WORDS = {
    head: "the head of this program", batch: "the text of this program", start: "the first query of the block", scale: "1/√head_dim · log2 e, as exponents are to base 2",
    unit: "what a product is multiplied by where its exponential is taken", first_query: "its place in the text, with what a cache held before",
    new_max: "the largest score of each query so far, to base 2", shift: "what is subtracted: the maximum, or 0 where there is none yet",
    rescale: "what row_sum and acc are multiplied by, as they were taken against the old maximum", weights: "exp2(score − maximum), not divided by a sum yet",
    row_sum: "the sum of the weights so far", weighted: "weights @ value, for this tile",
  };

  const digits = value => Array.isArray(value) ? `[${value.map(digits).join(", ")}]` : brief(Number(String(value).replace("inf", "Infinity")));
  const span = (first, block) => `${first}–${first + block - 1}`;

  class GpuTile extends Figure {
    static at = at;
    static css = `
      .stage { align-items: stretch; } .memories { flex: 1 1 330px; min-width: 0; display: flex; flex-direction: column; gap: 0.4rem; }
      .memory { border: 1px solid var(--look-edge); border-radius: 6px; padding: 0.35rem 0.6rem; background: var(--look-activations); }
      .head { margin: 0 0 0.2rem; font-size: 14px; font-weight: 600; display: flex; justify-content: space-between; gap: 1rem; } .head span { font-weight: normal; color: var(--look-muted); }
      .none { border-style: dashed; background: none; }
      .held { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 0.6rem; font-size: 13px; margin: 0; } dt { white-space: nowrap; }
      dd { margin: 0; text-align: end; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; } .held .new { font-weight: 700; }
      .registers .held { min-height: 8.6rem; align-content: start; } .shared .held { min-height: 2.7rem; align-content: start; }
      .grids { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; font-size: 12px; } .grid { display: grid; gap: 2px; font-size: 12px; text-align: center; }
      .grid i { font-style: normal; border: 1px solid var(--look-edge); min-width: 38px; height: 20px; box-sizing: border-box; line-height: 18px; }
      .grid .did { background: color-mix(in srgb, var(--look-text) 14%, transparent); } .grid .now { outline: 2px solid var(--look-text); outline-offset: -1px; }
      .grid .never { background: linear-gradient(to top left, transparent 47%, var(--look-edge) 48% 52%, transparent 53%); } .grid .other { border-color: var(--look-rule); }
      .code { flex: 1 1 340px; min-width: 0; box-sizing: border-box; max-height: 34rem; overflow: auto; position: relative; border: 1px solid var(--look-rule); background: var(--look-surface); }
      .code ol { margin: 0; padding: 0.4rem 0; list-style: none; font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
      .code li { padding: 0 0.6rem 0 1.8rem; text-indent: -1rem; overflow-wrap: anywhere; border-left: 4px solid transparent; } .code .loop { padding-left: 3.4rem; }
      .code .now { border-left-color: var(--look-focus); background: color-mix(in srgb, var(--look-focus) 18%, transparent); font-weight: 700; }
      .steps { flex: 1 1 20rem; } @media (max-width: 480px) { .code { max-height: 11rem; } .registers .held { min-height: 9.5rem; } }`;

    start({program, runs, lines}) {
      return {form: "causal", program, step: runs.causal[program].findIndex(([line]) => lines[line][1].startsWith("weights =")) };
    }

    build({lines, memories, runs, block, tokens}) {
      const tiles = tokens.length / block;
      this.lists = ["registers", "shared"].map(() => make("dl", {class: "held"}));
      const box = ([name, size], kind, inside) => make("div", {class: `memory ${kind}`}, make("div", {class: "head"}, name, make("span", {}, size)), inside);
      this.grids = Object.fromEntries(["query", "key", "value", "output"].map(name => [name, this.grid(name, tiles, 1, block)]));
      this.map = this.grid("queries down, keys across", tiles, tiles, block);
      this.items = lines.map(([loop, source]) => make("li", {class: loop ? "loop" : null}, source));
      this.code = make("div", {class: "code", tabindex: 0, role: "region", "aria-label": "lines of the kernel"}, make("ol", {}, this.items));
      this.stage.append(make("div", {class: "memories"}, box(memories[0], "registers", this.lists[0]), box(memories[1], "shared", this.lists[1]),
        box(memories[2], "hbm", make("div", {class: "grids"}, Object.values(this.grids).map(grid => grid.node))),
        box(["scores", "whole in no memory"], "none", this.map.node)), this.code);
      this.steps = steps([""], step => this.set({step}));
      const next = make("button", {type: "button", onclick: () => this.set({step: this.next()})}, "next tile");
      this.form = choice("mask", {causal: "causal", "all keys": "none"}, form => this.set({form, step: this.same(form, this.state.program)}));
      const numbers = Object.fromEntries(runs.causal.map((_, n) => [n, String(n)]));
      this.program = choice("program_id", numbers, n => this.set({program: +n, step: this.same(this.state.form, +n)}));
      this.controls.append(this.steps.node, next, this.form.node, this.program.node);
    }

    // Rows of tiles, their numbers in them; what a screen reader needs of it is in the readout.
    grid(name, rows, columns, block) {
      const cells = Array.from({length: rows * columns}, (_, i) => make("i", {}, columns === 1 ? span(i * block, block) : ""));
      const head = make("span", {style: `grid-column: 1 / span ${columns}; text-align: start`}, name);
      return {node: make("div", {class: "grid", "aria-hidden": "true", style: `grid-template-columns: repeat(${columns}, max-content)`}, head, cells), cells};
    }

    // The next tile's first line, or the end.
    next() {
      const program = this.trace.runs[this.state.form][this.state.program];
      const found = program.findIndex(([, , load], step) => step > this.state.step && load && load[0] === "key");
      return found < 0 ? program.length - 1 : found;
    }

    // The step at which another program is at the line of this one, or at its own end.
    same(form, program) {
      const {line} = this.held, found = this.trace.runs[form][program].findIndex(([other]) => other === line);
      return found < 0 ? this.trace.runs[form][program].length - 1 : found;
    }

    show(state, trace) {
      const held = this.held = at(trace, state), run = trace.runs[state.form][state.program], [line, , load] = run[state.step];
      this.steps.show(state.step, run.map(([number, , read]) => this.named(number, read)));
      this.form.show(state.form);
      this.program.show(state.program);
      this.items.forEach((item, i) => {
        item.classList.toggle("now", i === line);
        if (i === line) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
      });
      const item = this.items[line];
      this.code.scrollTop = item.offsetTop - this.code.clientHeight / 2 + item.offsetHeight / 2;
      const made = Object.keys(trace.lines[line][2]), parts = name => [name, " ", shape(held.registers[name]?.shape || held.shared[name].shape, AXES[name])];
      const list = (names, values) => names.flatMap(name => {
        const fresh = made.includes(name) || load?.[0] === name ? "new" : null;
        return [make("dt", {class: fresh}, ...parts(name)), make("dd", {class: fresh}, values(name))];
      });
      this.lists[0].replaceChildren(...list(KEPT.filter(name => held.registers[name]), name => digits(held.registers[name].values).slice(1, -1) || ""));
      this.lists[1].replaceChildren(...list(Object.keys(held.shared).filter(name => held.shared[name]), name => `rows ${span(held.shared[name].row, trace.block)}`));
      this.draw(state, held, load);
      this.say(this.sentence(state, held, line, load));
    }

    draw({form, program}, held, load) {
      const {block} = this.trace, tiles = this.grids.key.cells.length, mine = at(this.trace, {form, program, step: Infinity}), row = mine.numbers.block;
      for (const [name, {cells}] of Object.entries(this.grids)) cells.forEach((cell, i) => {
        const stored = name === "output" && held.stored && i === row;
        cell.classList.toggle("did", stored || held.read.some(read => read.matrix === name && read.row === i * block));
        cell.classList.toggle("now", stored || (load?.[0] === name && load[1] === i * block));
      });
      this.map.cells.forEach((cell, i) => {
        const [r, tile] = [Math.floor(i / tiles), i % tiles], own = r === row, order = held.taken.indexOf(tile);
        cell.textContent = own && order >= 0 ? String(order) : "";
        cell.classList.toggle("other", !own);
        cell.classList.toggle("did", own && order >= 0);
        cell.classList.toggle("now", own && held.tile === tile);
        cell.classList.toggle("never", own && !mine.taken.includes(tile));
      });
    }

    named(line, load) {
      const names = Object.keys(this.trace.lines[line][2]);
      return load ? `load ${load[0]}` : names.length ? names.join(", ") : "store";
    }

    // What the line did.
    sentence({form, program}, held, line, load) {
      const {lines, block, tokens, runs, width} = this.trace, [, , made] = lines[line], [name] = Object.keys(made), last = held.numbers;
      const words = first => tokens.slice(first, first + block).map(token => `“${token}”`).join(" "), tiles = tokens.length / block;
      const skipped = tiles - at(this.trace, {form, program, step: Infinity}).taken.length, queries = span((last.block ?? 0) * block, block);
      if (held.stored) return `Rows ${queries} of output are written to HBM, ${4 * block * width} bytes; ${held.bytes} were read. Program ${program} is done: ${held.taken.length} tiles of scores computed, `
        + `${skipped} skipped, and no score was ever in HBM.`;
      if (load) return `${load[0]}, rows ${span(load[1], block)} (${words(load[1])}): ${load[2]} bytes from HBM, ${held.bytes} so far. The tile is padded to 16 columns; padding is not read.`;
      const value = `${name} = ${digits(held.registers[name]?.values ?? last[name] ?? "")}`;
      switch (name) {
        case "program": return `program_id is ${program}, of ${runs[form].length} programs that run the same lines; each head has ${last.blocks} blocks of ${block} queries.`;
        case "block": return `${value}: queries ${queries}. The last block comes first, because under a causal mask it has the most keys.`;
        case "seen": return form === "causal" && lines[line][1].includes("minimum") ? `seen = ${last.seen}: ${skipped ? `keys from ${last.seen} on come after every query of the block; ${skipped} of ${tiles} tiles will not be loaded` : "the last query sees every key, and no tile is skipped"}.`
          : `seen = ${last.seen}, unmasked = ${last.unmasked}: all keys, in whole tiles.`;
        case "unmasked": return `unmasked = ${last.unmasked}: every query of the block sees the keys before it, so the first loop compares no positions.`;
        case "scores": return !lines[line][1].includes("masked(") ? `${value}: ${block} by ${block} products, in registers alone.`
          : String(held.registers.scores.values).includes("inf") ? `${value}: a key that comes after its query is −inf. Keys ${span(held.tile * block, block)} are at the edge.` : `${value}: every query sees these keys, and nothing is masked.`;
        case "row_max": return held.taken.length && lines[line][0] ? `${value}. The tile's scores are forgotten; row_max, row_sum and acc stay.` : held.taken.length ? `${Object.keys(made).join(", ")} come back from the loop.` : `${value}: no key yet.`;
        case "acc": return !lines[line][0] && held.taken.length ? `${value}: divided by row_sum once, at the end.` : `${value}, in float32.`;
        default: return `${name} = ${digits(runs[form][program][this.state.step][1][0])}: ${WORDS[name]}.`;
      }
    }
  }

  customElements.define("gpu-tile", GpuTile);
})();
