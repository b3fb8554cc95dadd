// A model over ranks, as companion.parallel cuts it: all numbers are recorded, what is here draws and tells them.
(() => {
  if (customElements.get("ranks-explorer")) return;
  const Figure = customElements.get("shape-figure");
  const {make, amount, ink, shape, steps, choice} = Figure.parts;

  // A side in pixels, on a log scale.
  const side = size => 9 * Math.log2(size / 4);
  const bytes = count => amount(count, "B");

  // What a rank has sent when `step` has run: of one layer, and each exchange by itself.
  function sentUntil({runs}, {ranks, tokens, step}) {
    return runs[ranks].steps.slice(0, step + 1).reduce((sum, {exchanges}) => sum + (exchanges[tokens] ? exchanges[tokens][2] : 0), 0);
  }

  // Where the pieces of a matrix lie in it, in parts of its sides.
  function pieces({whole, shape: piece, first}) {
    return first.map(([row, column]) => ({top: row / whole[0], left: column / whole[1], high: piece[0] / whole[0], wide: piece[1] / whole[1]}));
  }

  class RanksExplorer extends Figure {
    static sentUntil = sentUntil;
    static pieces = pieces;
    static css = `
      .stage { align-items: flex-start; gap: 0.5rem; } .group { padding: 0.35rem 0.5rem; border: 2px solid transparent; border-radius: 6px; }
      .group.now { border-color: var(--look-focus); background: var(--look-surface); } .row { display: flex; gap: 0.75rem; } .title { font-size: 13px; color: var(--look-muted); }
      .matrix { font-size: 13px; } .whole { position: relative; background: var(--look-weights); border: 2px solid var(--look-edge); box-sizing: border-box; border-radius: 0; }
      .piece { position: absolute; box-sizing: border-box; border: 1px solid var(--look-edge); display: grid; place-items: center; font-size: 12px; }
      .own { background: color-mix(in srgb, var(--look-text) 34%, transparent); font-weight: 700; }
      .heads { display: grid; gap: 3px; } .head { min-width: 24px; height: 24px; display: grid; place-items: center; border: 1px solid var(--look-edge); border-radius: 4px; font-size: 12px; box-sizing: border-box; }
      .kv { border-radius: 0; background: repeating-linear-gradient(135deg, transparent 0 9px, var(--look-edge) 9px 10px), var(--look-cached); } .head.own { outline: 2px solid var(--look-text); outline-offset: -2px; }
      .wire { display: block; width: max-content; margin-top: 0.3rem; font-size: 13px; border-top: 2px dashed var(--look-edge); border-bottom: 2px dashed var(--look-edge); padding: 0.15rem 0.4rem; } .wire:empty { display: none; }
      table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; } th, td { padding: 0.15rem 0.5rem; border-bottom: 1px solid var(--look-rule); text-align: end; font-weight: normal; }
      th:first-child { text-align: start; } thead th { color: var(--look-muted); } .chosen { font-weight: 700; } .stage > table { flex: 1 1 100%; max-width: 30rem; } .steps { flex: 1 1 100%; }`;

    start({runs}) {
      return {ranks: Math.max(...Object.keys(runs)), rank: 0, step: 1, tokens: 1};
    }

    build({steps: names, counts, lengths, heads, runs}) {
      this.groups = names.map((name, i) => {
        const wire = make("span", {class: "wire"}), inside = make("div", {class: "group"}, make("div", {class: "title"}, `${i + 1}. ${name}`));
        const matrices = i === names.indexOf("heads") ? [] : runs[Math.max(...Object.keys(runs))].steps[i].matrices.map(matrix => this.box(matrix));
        inside.append(make("div", {class: "row"}, matrices.map(matrix => matrix.node)));
        return {node: inside, wire, matrices};
      });
      const row = (count, kind) => Array.from({length: count}, (_, n) => make("span", {class: `head ${kind}`}, String(n)));
      this.query = row(heads[0], "");
      this.kv = row(heads[1], "kv");
      this.kv.forEach(cell => { cell.style.gridColumn = `span ${heads[0] / heads[1]}`; });
      const grid = make("div", {class: "heads", "aria-hidden": "true", style: `grid-template-columns: repeat(${heads[0]}, auto)`}, this.query, this.kv);
      this.groups[names.indexOf("heads")].node.append(grid, make("div", {class: "title"}, "below them the KV heads, and their cache"));
      this.numbers = this.table(runs);
      this.steps = steps(names, step => this.set({step}));
      for (const {node, wire} of this.groups) node.append(wire);
      this.stage.append(...this.groups.map(({node}) => node), this.steps.node, this.numbers.node);
      const each = (values, words = value => value) => Object.fromEntries(values.map(value => [value, words(value)]));
      this.ranks = choice("ranks", each(counts), count => this.share(+count));
      this.rank = choice("show rank", each([...Array(Math.max(...Object.keys(runs))).keys()]), rank => this.set({rank: +rank}));
      this.tokens = choice("a pass over", lengths, tokens => this.set({tokens: +tokens}));
      this.controls.append(this.ranks.node, this.rank.node, this.tokens.node);
    }

    box({name, whole}) {
      const [out, wide] = this.trace.axes[name], frame = `width: ${side(whole[1])}px; height: ${side(whole[0])}px; border-top: 3px solid ${ink(wide)}; border-left: 3px solid ${ink(out)}`;
      const inside = make("div", {class: "whole", "aria-hidden": "true", style: frame}), held = make("span");
      return {name, inside, held, node: make("div", {class: "matrix"}, make("div", {}, name), inside, held)};
    }

    // What a rank holds and sends, a column for each number of ranks.
    table(runs) {
      const rows = {
        parameters: run => run.parameters.toLocaleString("en"), "weights, bfloat16": run => bytes(run.weights), "cache, 8,192 tokens": run => bytes(run.cache),
        "sums in a pass": run => run.sums, "sent in a pass": (run, tokens) => bytes(run.sent[tokens]),
      };
      const counts = Object.keys(runs), cells = Object.keys(rows).map(() => counts.map(() => make("td")));
      const node = make("table", {}, make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "a rank has"), counts.map(count => make("th", {scope: "col"}, `of ${count}`)))),
        make("tbody", {}, Object.keys(rows).map((name, i) => make("tr", {}, make("th", {scope: "row"}, name), cells[i]))));
      const show = ({ranks, tokens}) => Object.values(rows).forEach((write, i) => counts.forEach((count, j) => {
        cells[i][j].textContent = write(runs[count], tokens);
        cells[i][j].classList.toggle("chosen", +count === ranks);
      }));
      return {node, show};
    }

    // Another number of ranks, or why not, in the package's words.
    share(ranks) {
      const why = this.trace.refused[ranks];
      if (!why) return this.set({ranks, rank: Math.min(this.state.rank, ranks - 1)});
      this.ranks.show(this.state.ranks);
      return this.refuse(`ValueError: ${why}`);
    }

    show(state, {runs, steps: names, axes}) {
      const run = runs[state.ranks];
      this.groups.forEach(({node, wire, matrices}, i) => {
        node.classList.toggle("now", i === state.step);
        const exchange = run.steps[i].exchanges[state.tokens];
        wire.textContent = exchange ? `${exchange[0] === "all_reduce" ? "Σ" : "⇶"} ${bytes(exchange[2])}` : "";
        matrices.forEach(({inside, held}, j) => {
          const matrix = run.steps[i].matrices[j];
          inside.replaceChildren(...pieces(matrix).map(({top, left, high, wide}, rank) => make("span", {
            class: `piece${rank === state.rank ? " own" : ""}`, style: `top: ${100 * top}%; left: ${100 * left}%; height: ${100 * high}%; width: ${100 * wide}%`}, String(rank))));
          held.replaceChildren(shape(matrix.shape, axes[matrix.name]));
        });
      });
      const own = (cells, [first, count]) => cells.forEach((cell, n) => cell.classList.toggle("own", n >= first && n < first + count));
      own(this.query, run.query[state.rank]);
      own(this.kv, run.kv[state.rank]);
      this.numbers.show(state);
      this.steps.show(state.step);
      this.ranks.show(state.ranks);
      this.rank.show(state.rank);
      this.rank.node.querySelectorAll("input").forEach((input, n) => { input.disabled = n >= state.ranks; });
      this.tokens.show(state.tokens);
      this.say(...this.sentence(state, run, names[state.step]));
    }

    // What the rank does in this step, and what leaves it.
    sentence({ranks, rank, step, tokens}, run, name) {
      const {matrices, exchanges} = run.steps[step], exchange = exchanges[tokens], [query, kv] = [run.query[rank], run.kv[rank]];
      const range = ([first, count]) => count > 1 ? `${first} to ${first + count - 1}` : String(first);
      if (name === "heads") return [`Rank ${rank} computes query heads ${range(query)} with KV head${kv[1] > 1 ? "s" : ""} ${range(kv)}, and keeps their keys and values alone: `,
        shape(run.cache_shape.slice(1), ["batch", "kv_heads", "kv_len", "head_dim"]), ` in each layer. Nothing is sent.`];
      const held = matrices.map(({name: matrix, axis, first, shape: piece, whole}) => {
        if (axis === null) return `all of ${matrix}`;
        return `${["rows", "columns"][axis]} ${first[rank][axis].toLocaleString("en")} to ${(first[rank][axis] + piece[axis] - 1).toLocaleString("en")} of ${matrix}’s ${whole[axis].toLocaleString("en")}`;
      });
      const words = `Rank ${rank} holds ${held.join(", ")}, as stored (out, in). `;
      if (!exchange) return [words, ranks === 1 ? "One rank sends nothing." : "It gives outputs of its own, whole, from an input that every rank has: nothing is sent."];
      const [operation, sizes, sent] = exchange, of = shape(sizes, operation === "all_reduce" ? ["batch", "q_len", "hidden"] : ["batch", ""]);
      return operation === "all_reduce"
        ? [words, "Its result is a partial sum; an all-reduce of ", of, ` makes it whole on every rank: ${bytes(sent)} from each, ${bytes(sentUntil(this.trace, {ranks, tokens, step}))} so far with one layer, ${run.sums} sums in all ${this.trace.layers}.`]
        : [words, "Each rank has the logits of its own tokens, ", of, `; an all-gather gives all of them to all: ${bytes(sent)} from each. In the whole pass a rank sends ${bytes(run.sent[tokens])}.`];
    }
  }

  customElements.define("ranks-explorer", RanksExplorer);
})();
