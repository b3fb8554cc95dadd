// One query's softmax, tile by tile, as companion.fast.tiled takes its keys in; in float32, and under its names.
(() => {
  if (customElements.get("online-softmax")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, Matrix, steps, number, float32, choice} = Figure.parts;

  const f32 = Math.fround;
  const largest = row => row.reduce((a, b) => Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b), -Infinity);
  const total = row => row.reduce((a, b) => f32(a + b), 0);
  const weighted = (weights, values) => values[0].map((_, d) => weights.reduce((sum, weight, j) => f32(sum + weight * values[j][d]), 0));
  const exps = (row, shift) => row.map(score => f32(Math.exp(f32(score - shift))));

  // exp(score − maximum) over their sum, with the whole row at hand; a row that sees nothing gives zeros, as torch's attention does.
  function plain(scores, values) {
    const row_max = largest(scores), weights = exps(scores, row_max === -Infinity ? 0 : row_max);
    const row_sum = total(weights) || (row_max === -Infinity ? 1 : NaN);
    return weighted(weights.map(weight => f32(weight / row_sum)), values);
  }

  // What is held after each tile. `rescales` is "both", or the mistakes "neither" and "acc"; `counts` is what each key so far
  // counts in row_sum.
  function compute({scores, values, width, rescales}) {
    const tiles = [{row_max: -Infinity, row_sum: 0, acc: values[0].map(() => 0), counts: []}];
    for (let start = 0; start < scores.length; start += width) {
      const before = tiles.at(-1), stop = Math.min(start + width, scores.length), tile = scores.slice(start, stop);
      const row_max = largest([before.row_max, ...tile]);
      // Where nothing was allowed so far the maximum is -inf, and -inf - -inf is no number.
      const shift = row_max === -Infinity ? 0 : row_max;
      const rescale = f32(Math.exp(f32(before.row_max - shift)));
      const [ofSum, ofAcc] = {both: [rescale, rescale], neither: [1, 1], acc: [1, rescale]}[rescales];
      const weights = exps(tile, shift), added = total(weights), values_added = weighted(weights, values.slice(start, stop));
      tiles.push({
        start, stop, scores: tile, row_max, rescale, weights, added, weighted: values_added,
        row_sum: f32(f32(before.row_sum * ofSum) + added), acc: before.acc.map((x, d) => f32(f32(x * ofAcc) + values_added[d])),
        counts: [...before.counts.map(x => x * ofSum), ...weights],
      });
    }
    const outputs = tiles.map(({row_sum, acc}) => acc.map(x => f32(x / (row_sum === 0 ? 1 : row_sum))));
    const plains = tiles.map(({stop}) => stop ? plain(scores.slice(0, stop), values.slice(0, stop)) : values[0].map(() => 0));
    return {tiles, outputs, plains};
  }

  // How far two lists are apart at most; two nan are equal, and one is not.
  const apart = (a, b) => largest(a.map((x, d) => Object.is(x, b[d]) ? 0 : Math.abs(x - b[d])));

  const plus = x => x < 0 ? `− ${brief(-x)}` : `+ ${brief(x)}`;

  // A score that is typed: what Python's float() reads.
  function score(text) {
    const word = text.trim().toLowerCase().replace("−", "-");
    if (/^[-+]?inf(inity)?$/.test(word)) return word[0] === "-" ? -Infinity : Infinity;
    return /^[-+]?nan$/.test(word) ? NaN : float32(text);
  }

  class OnlineSoftmax extends Figure {
    static compute = compute;
    static apart = apart;
    static css = `
      .scores [role=grid] { display: flex; flex-wrap: wrap; width: auto; border-inline-start: 0; }
      .scores [role=gridcell] { width: 44px; margin: 22px 0 76px; border: 1px solid var(--look-edge); margin-inline-end: -1px; }
      .scores .first { margin-inline-start: 6px; }
      .scores .read { background: none; color: var(--look-muted); border-style: dashed; } .scores .read.negative::before { display: none; }
      .scores .token { position: absolute; bottom: 100%; font-size: 13px; color: var(--look-text); white-space: nowrap; }
      .scores .bar { position: absolute; top: calc(100% + 50px); left: 9px; right: 9px; height: 0; transform: translateY(-100%); border: 1px solid var(--look-edge);
        border-bottom-width: 2px; background: color-mix(in srgb, var(--look-text) 16%, transparent); }
      .scores .lit .bar { background: color-mix(in srgb, var(--look-text) 62%, transparent); }
      .scores .count { position: absolute; top: calc(100% + 53px); font-size: 12px; color: var(--look-text); }
      table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; } caption { text-align: start; padding-bottom: 0.2rem; }
      th, td { padding: 0.15rem 0.4rem; text-align: end; border-bottom: 1px solid var(--look-rule); font-weight: normal; white-space: nowrap; }
      th:first-child { text-align: start; } thead th { color: var(--look-muted); } td:last-child { font-weight: 600; }
      .stage { align-items: flex-start; } .wrong { text-decoration: underline wavy var(--look-negative); }
      .steps { flex: 1 1 100%; }
      @media (max-width: 480px) { th, td { padding: 0.15rem 0.25rem; } .scores .first { margin-inline-start: 3px; } }`;

    start({scores, width}) {
      return {scores, width, rescales: "both", step: 0, at: 0};
    }

    build({tokens, values, widths}) {
      const columns = tokens.length, goes = step => this.set({step});
      this.scores = new Matrix({name: "scores of “the”", rows: 1, columns, axes: ["q_len", "kv_len"], kind: "scores", picks: (_, at) => this.set({at})});
      this.notes = tokens.map(token => ["token", "bar", "count"].map(name => make("span", {class: name}, name === "token" ? token : "")));
      const names = ["row_max", "row_sum", ...values[0].map((_, d) => `acc[${d}]`)];
      this.held = this.table("held from tile to tile", ["", "so far", "· rescale", "+ tile", "now"], names);
      this.ends = this.table("output of these keys", ["", "acc / row_sum", "plain softmax"], [...values[0].map((_, d) => `[${d}]`), "apart"]);
      this.steps = steps(["nothing yet"], goes);
      this.stage.append(this.scores.node, this.steps.node, this.held.node, this.ends.node);
      this.width = choice("tile width", Object.fromEntries(widths.map(width => [width, String(width)])), width => this.cut(+width));
      this.rescales = choice("rescale", {both: "row_sum and acc", neither: "nothing (wrong)", acc: "acc alone (wrong)"}, rescales => this.set({rescales}));
      this.value = number("", score, value => this.edit(value), why => this.refuse(why));
      this.masks = make("button", {type: "button", onclick: () => this.edit(-Infinity)}, "mask this key");
      const again = make("button", {type: "button", onclick: () => this.set(this.start(this.trace))}, "start again");
      this.controls.append(this.rescales.node, this.width.node, this.value.node, this.masks, again);
    }

    // A table under its head; `show(rows)` fills the cells.
    table(caption, head, names) {
      const cells = names.map(() => head.slice(1).map(() => make("td")));
      const node = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, head.map(name => name ? make("th", {scope: "col"}, name) : make("td")))),
        make("tbody", {}, names.map((name, i) => make("tr", {}, make("th", {scope: "row"}, name), cells[i]))));
      const show = rows => rows.forEach((row, i) => row.forEach((value, j) => { cells[i][j].textContent = typeof value === "number" ? brief(value) : value; }));
      return {node, cells, show};
    }

    // Another tile width: from the start, or at the output again.
    cut(width) {
      const tiles = Math.ceil(this.state.scores.length / width);
      this.set({width, step: this.state.step === this.made.tiles.length ? tiles + 1 : 0});
    }

    edit(value) {
      this.set({scores: this.state.scores.map((x, j) => j === this.state.at ? value : x)});
    }

    show(state, {tokens, values}) {
      const made = this.made = compute({...state, values}), last = made.tiles.length - 1, done = Math.min(state.step, last);
      this.tile = made.tiles[done];
      this.row(state, this.tile, state.step > last);
      this.hold(made.tiles[done - 1], this.tile, state.rescales);
      const [output, plain] = [made.outputs[done], made.plains[done]], off = apart(output, plain);
      this.ends.show([...output.map((x, d) => [x, plain[d]]), ["", off < 1e-5 ? "0" : off]]);
      this.ends.cells.at(-1).at(-1).classList.toggle("wrong", !(off < 1e-5));
      const names = made.tiles.slice(1).map((_, i) => `tile ${i}`);
      this.steps.show(state.step, ["nothing yet", ...names, "output"]);
      this.width.show(state.width);
      this.rescales.show(state.rescales);
      const value = state.scores[state.at];
      this.value.show(Number.isFinite(value) ? +value.toFixed(4) : value, `score of key ${state.at} “${tokens[state.at]}” =`);
      this.say(state.step > last ? this.ending(state, output, plain, off) : this.sentence(state, done, made.tiles[done - 1], this.tile));
    }

    // The row: what a key counts so far, which tile is there, which are forgotten.
    row({scores, width, at}, {start = 0, stop = 0, counts}, over) {
      const sizes = scores.filter(Number.isFinite).map(Math.abs);
      this.scores.show([scores], {largest: Math.max(...sizes, 1), hides: (_, j) => scores[j] === -Infinity, write: x => brief(x, 2)});
      this.scores.mark((_, j) => !over && j >= start && j < stop, (_, j) => j === at);
      this.scores.cells[0].forEach((cell, j) => {
        const [, bar, count] = this.notes[j], counted = j < counts.length;
        cell.append(...this.notes[j]);
        cell.classList.toggle("read", j < (over ? scores.length : start));
        cell.classList.toggle("first", j % width === 0);
        bar.hidden = !counted;
        bar.style.height = `${48 * Math.min(counts[j] || 0, 1)}px`;
        count.textContent = !counted ? "" : counts[j] > 0 && counts[j] < 0.005 ? "≈ 0" : brief(counts[j]);
      });
    }

    hold(before, {row_max, row_sum, acc, scores, rescale, added, weighted}, rescales) {
      if (!before) return this.held.show([["", "", "", row_max], ["", "", "", row_sum], ...acc.map(x => ["", "", "", x])]);
      const times = {both: [rescale, rescale], neither: ["forgotten", "forgotten"], acc: ["forgotten", rescale]}[rescales].map(x => x === "forgotten" ? x : `· ${brief(x)}`);
      this.held.show([[before.row_max, "", `max ${brief(largest(scores))}`, row_max], [before.row_sum, times[0], plus(added), row_sum],
        ...acc.map((x, d) => [before.acc[d], times[1], plus(weighted[d]), x])]);
      this.held.cells.forEach((row, i) => row[1].classList.toggle("wrong", rescales !== "both" && i > 0 && row[1].textContent === "forgotten"));
      return undefined;
    }

    // What a tile changed.
    sentence({width, rescales, scores}, step, before, {row_max, rescale, start, stop}) {
      if (!step) return `Nothing is read: no maximum yet (−inf), sums of 0. ${scores.length} keys will come, ${width} at a time; step on.`;
      const words = `Tile ${step - 1}, ${this.trace.tokens.slice(start, stop).map(token => `“${token}”`).join(" ")}: `;
      if (Number.isNaN(row_max)) return `${words}a score is nan, so the maximum is, and so is all that follows: as in torch.softmax.`;
      if (row_max === -Infinity) return `${words}every key so far is masked, and row_max is −inf. Subtracting it would give nan: 0 is subtracted, and the tile adds 0.`;
      if (row_max === Infinity) return `${words}row_max is inf, and inf − inf is nan: as in torch.softmax.`;
      if (before.row_max === row_max) return `${words}row_max stays ${brief(row_max)}, the factor is exp(0) = 1, and the tile is added to what is there.`;
      if (before.row_max === -Infinity) return `${words}the first maximum, ${brief(row_max)}. There is nothing to rescale: the factor exp(−inf) = 0 meets zeros.`;
      const grows = `${words}row_max grows from ${brief(before.row_max)} to ${brief(row_max)}`, factor = `exp(${brief(before.row_max)} − ${brief(row_max)}) = ${brief(rescale)}`;
      const kept = {neither: "row_sum and acc are", acc: "row_sum is"}[rescales];
      return kept ? `${grows}: what was summed should be multiplied by ${factor}; ${kept} not, and the ${start} keys before count too much.`
        : `${grows}: what was summed is multiplied by ${factor}, once, for all ${start} keys before.`;
    }

    ending({width, scores}, output, plain, off) {
      const list = row => `[${row.map(x => brief(x)).join(", ")}]`, {held, plain: whole} = this.trace;
      const none = scores.every(x => x === -Infinity) ? " No key was allowed: the sum 0 is divided by as 1, where torch.softmax alone gives nan." : "";
      const verdict = off < 1e-5 ? `equal to plain softmax but for rounding (${off === 0 ? "0" : brief(off, 1)}).` : `off by ${brief(off)}: plain softmax gives ${list(plain)}.`;
      const lengths = Object.entries(whole).map(([keys, bytes]) => `${bytes} for ${keys} keys`).join(" and ");
      return `acc / row_sum = ${list(output)}, ${verdict}${none} Held at most: ${held[width]} bytes, however long the text; plain attention: ${lengths}.`;
    }
  }

  customElements.define("online-softmax", OnlineSoftmax);
})();
