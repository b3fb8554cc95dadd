// One head, cell by cell: X and the weights may be edited; each step is computed here, in float32 as torch computes it.
(() => {
  if (customElements.get("attention-explorer")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, Matrix, steps, number, float32, toggle, choice} = Figure.parts;

  const STEPS = ["X @ W", "scores", "scale", "mask", "softmax", "output"];
  const f32 = Math.fround;
  // As processors do it: a product and a sum, rounded once.
  const product = (a, b) => a.map(row => b[0].map((_, j) => row.reduce((sum, x, i) => f32(sum + x * b[i][j]), 0)));
  const transposed = a => a[0].map((_, j) => a.map(row => row[j]));
  const each = (a, change) => a.map((row, i) => row.map((x, j) => f32(change(x, i, j))));

  // The largest first, so that no exponential overflows; NaN and inf come out as torch's do.
  function softmax(row) {
    const largest = row.reduce((a, b) => Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b));
    const exps = row.map(x => f32(Math.exp(x - largest)));
    const sum = exps.reduce((a, b) => f32(a + b), 0);
    return exps.map(x => f32(x / sum));
  }

  // Every tensor of the head, from X, the weights and the three switches.
  function compute({X, W_q, W_k, W_v, scaled, causal, over}) {
    const [Q, K, V] = [W_q, W_k, W_v].map(W => product(X, W));
    const scores = product(Q, transposed(K));
    const scale = scaled ? f32(1 / Math.sqrt(Q[0].length)) : 1;
    const scaledScores = each(scores, x => x * scale);
    const maskedScores = each(scaledScores, (x, i, j) => causal && j > i ? -Infinity : x);
    const weights = over === "keys" ? maskedScores.map(softmax) : transposed(transposed(maskedScores).map(softmax));
    return {Q, K, V, scores, scaled: scaledScores, masked: maskedScores, weights, output: product(weights, V)};
  }

  class AttentionExplorer extends Figure {
    static compute = compute;
    static css = `.row { display: flex; flex-wrap: wrap; gap: 0.5rem 0.7rem; align-items: center; flex: 1 1 100%; }
      .later { visibility: hidden; } .sums { display: block; font-size: 14px; } .sums.wrong { font-weight: 700; }`;

    start(trace) {
      return {...trace.start, step: 5, projection: "W_q", at: ["scores", 0, 0]};
    }

    build({tokens, start}) {
      const [q, d] = [start.X.length, start.W_q[0].length], m = start.X[0].length;
      const kinds = {
        X: [q, m, ["q_len", "hidden"]], W: [m, d, ["hidden", "head_dim"], "weights"], Q: [q, d, ["q_len", "head_dim"]],
        K: [q, d, ["kv_len", "head_dim"]], V: [q, d, ["kv_len", "head_dim"]], scores: [q, q, ["q_len", "kv_len"]],
        weights: [q, q, ["q_len", "kv_len"]], output: [q, d, ["q_len", "head_dim"]],
      };
      this.matrices = Object.fromEntries(Object.entries(kinds).map(([name, [rows, columns, axes, kind]]) =>
        [name, new Matrix({name, rows, columns, axes, kind, picks: (i, j) => this.pick(name, i, j), takes: () => this.value.input.focus()})]));
      const node = name => this.matrices[name].node;
      this.sums = make("span", {class: "sums"});
      const row = (...nodes) => make("div", {class: "row"}, ...nodes);
      this.stage.append(row(node("X"), "@", node("W"), "=", node("Q"), node("K")),
        row(node("scores"), "→", make("div", {}, node("weights"), this.sums), "@", node("V"), "=", node("output")));
      this.steps = steps(STEPS, step => this.set({step, at: [["Q", "scores", "scores", "scores", "weights", "output"][step], 0, 0]}));
      this.value = number("", float32, value => this.edit(value), why => this.refuse(why));
      this.value.input.addEventListener("keydown", event => ["Enter", "Escape"].includes(event.key) && this.back());
      this.scaled = toggle(`scale by 1/√${d}`, scaled => this.set({scaled}));
      this.causal = toggle("causal mask", causal => this.set({causal}));
      this.over = choice("softmax over", {keys: "keys", queries: "queries (wrong)"}, over => this.set({over}));
      const again = make("button", {type: "button", onclick: () => this.set(this.start(this.trace))}, "start again");
      this.controls.append(this.steps.node, this.scaled.node, this.causal.node, this.over.node, this.value.node, again);
      this.tokens = tokens;
    }

    // A cell under the pointer or the focus; one of Q, K or V brings its own W.
    pick(name, i, j) {
      const projection = "QKV".includes(name) ? `W_${name.toLowerCase()}` : this.state.projection;
      this.set({projection, at: [name === "W" ? projection : name, i, j]});
    }

    // From the field to the cell that it changes.
    back() {
      const [name, i, j] = this.state.at;
      this.matrices[name.startsWith("W_") ? "W" : name].focus(i, j);
    }

    // A number of X or of the weights that was typed.
    edit(value) {
      const [name, i, j] = this.state.at;
      this.set({[name]: this.state[name].map((row, r) => row.map((x, c) => r === i && c === j ? value : x))});
    }

    show(state) {
      const made = this.made = compute(state), {step, projection, at: [name, i, j]} = state;
      const stage = ["scores", "scores", "scaled", "masked", "masked", "masked"][step];
      const values = {...made, X: state.X, W: state[projection], scores: made[stage]};
      const largest = Math.max(...["X", "Q", "K", "V"].flatMap(key => values[key].flat().filter(Number.isFinite).map(Math.abs)), 1);
      const hides = (r, c) => state.causal && step >= 3 && c > r;
      for (const [key, matrix] of Object.entries(this.matrices)) {
        matrix.show(values[key], {largest: key === "weights" ? 1 : largest, hides: key === "scores" ? hides : undefined});
        matrix.node.classList.toggle("later", step < ({scores: 1, weights: 4, output: 5}[key] ?? 0));
      }
      this.mark(name, i, j);
      const sums = made.weights.map(row => row.reduce((a, b) => a + b, 0));
      this.sums.textContent = `row sums ${sums.map(sum => brief(sum)).join(", ")}`;
      this.sums.classList.toggle("later", step < 4);
      this.sums.classList.toggle("wrong", sums.some(sum => !(Math.abs(sum - 1) < 1e-3)));
      this.steps.show(step);
      this.matrices.W.rename(projection);
      this.matrices.scores.rename(stage !== "scores" && state.scaled ? "scaled scores" : "scores");
      this.over.show(state.over);
      this.scaled.show(state.scaled);
      this.causal.show(state.causal);
      const editable = ["X", "W_q", "W_k", "W_v"].includes(name);
      this.value.input.disabled = !editable;
      this.value.show(editable ? state[name][i][j] : "", editable ? `${name}[${i}, ${j}] =` : "pick a cell of X or W");
      this.say(this.sentence(state, made, name, i, j));
    }

    // The cell that is picked, and what it is made of.
    mark(name, i, j) {
      const from = {
        Q: {X: r => r === i, W: (_, c) => c === j}, K: {X: r => r === i, W: (_, c) => c === j}, V: {X: r => r === i, W: (_, c) => c === j},
        scores: {Q: r => r === i, K: r => r === j}, weights: {scores: this.state.over === "keys" ? r => r === i : (_, c) => c === j},
        output: {weights: r => r === i, V: (_, c) => c === j},
      }[name] || {};
      const own = name.startsWith("W_") ? "W" : name;
      for (const [key, matrix] of Object.entries(this.matrices)) matrix.mark(from[key], key === own ? (r, c) => r === i && c === j : undefined);
    }

    // The arithmetic of the picked cell, as one would write it down.
    sentence(state, made, name, i, j) {
      const sum = (a, b, total) => `${a.map((x, n) => `${brief(x)}·${brief(b[n])}`).join(" + ")} = ${brief(total)}`;
      const column = (a, c) => a.map(row => row[c]);
      const [row, other] = [this.tokens[i], this.tokens[j]];
      switch (name) {
        case "Q": case "K": case "V": {
          const W = `W_${name.toLowerCase()}`;
          return `${name}[${i}, ${j}] = X[${i}] · ${W}[:, ${j}] = ${sum(state.X[i], column(state[W], j), made[name][i][j])}`;
        }
        case "scores": return this.score(state, made, i, j, sum);
        case "weights": {
          const line = state.over === "keys" ? made.masked[i] : column(made.masked, j);
          return `weights[${i}, ${j}] = softmax(${line.map(x => brief(x)).join(", ")})[${state.over === "keys" ? j : i}] = ${brief(made.weights[i][j])}: “${row}” takes `
            + `${brief(100 * made.weights[i][j])}% of the value of “${other}”${state.over === "keys" ? "" : ". Each column sums to 1, not each row: no error, and wrong"}`;
        }
        case "output": return `output[${i}, ${j}] = weights[${i}] · V[:, ${j}] = ${sum(made.weights[i], column(made.V, j), made.output[i][j])}`;
        case "X": return `X[${i}, ${j}] = ${brief(state.X[i][j])}: feature ${j} of “${row}”. Change it (Enter), and its row of Q, K and V changes, and no other`;
        default: return `${name}[${i}, ${j}] = ${brief(state[name][i][j])}: what feature ${i} of each token adds to column ${j} of ${name.at(-1).toUpperCase()}`;
      }
    }

    score(state, made, i, j, sum) {
      const product = `scores[${i}, ${j}] = Q[${i}] · K[${j}] = ${sum(made.Q[i], made.K[j], made.scores[i][j])}`;
      const scaled = state.step >= 2 ? (state.scaled ? `; times 1/√${made.Q[0].length}: ${brief(made.scaled[i][j])}` : ", not scaled") : "";
      return product + scaled + (state.step >= 3 && state.causal && j > i ? `, masked: “${this.tokens[j]}” comes after “${this.tokens[i]}”` : "");
    }
  }

  customElements.define("attention-explorer", AttentionExplorer);
})();
