// The next token's probabilities: temperature, then top-k, then top-p, in float32 as companion.sampling computes them.
(() => {
  if (customElements.get("token-sampling")) return;
  const Figure = customElements.get("shape-figure");
  const {make, number, select} = Figure.parts;

  const f32 = Math.fround;
  const COLDEST = 1e-30;

  // All logits: the likeliest as they are, the others in the middle of their steps.
  function expanded({logits, others}, step) {
    const last = logits.at(-1);
    return [...logits.map(f32), ...others.flatMap((count, i) => Array(count).fill(f32(last - step * (i + 0.5))))];
  }

  function softmax(logits) {
    const largest = logits.reduce((a, b) => Math.max(a, b));
    const exps = logits.map(x => f32(Math.exp(f32(x - largest))));
    const sum = f32(exps.reduce((a, b) => a + b, 0));
    return exps.map(x => f32(x / sum));
  }

  // Those that are at least the k-th largest: what equals it stays as well.
  function amongTopK(logits, k) {
    const smallest = Float32Array.from(logits).sort().at(-Math.min(k, logits.length));
    return logits.map(x => x >= smallest);
  }

  // The fewest likeliest whose probabilities sum to p; the sum runs from the least likely up.
  // Of equal logits it may cut some; which, is the sort's choice, in torch as well.
  function amongTopP(logits, p) {
    const probabilities = softmax(logits), kept = logits.map(() => false);
    const order = [...logits.keys()].filter(i => logits[i] > -Infinity).sort((a, b) => logits[a] - logits[b] || a - b);
    let sum = 0;
    for (const i of order) {
      sum += probabilities[i];
      kept[i] = f32(sum) > f32(1 - p);
    }
    kept[order.at(-1)] = true;
    return kept;
  }

  // The probabilities, and for each token what took it out.
  function compute(logits, {temperature, top_k, top_p}) {
    if (temperature === 0) {
      const likeliest = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
      return {probabilities: logits.map((_, i) => +(i === likeliest)), cut: logits.map((_, i) => i === likeliest ? null : "temperature 0")};
    }
    let scaled = logits.map(x => f32(f32(x) / f32(Math.max(temperature, COLDEST))));
    const cut = logits.map(() => null), whole = softmax(scaled);
    const left = () => whole.reduce((sum, x, i) => cut[i] ? sum : sum + x, 0);
    const keep = (kept, name) => {
      kept.forEach((stays, i) => { if (!stays) cut[i] ??= name; });
      scaled = scaled.map((x, i) => kept[i] ? x : -Infinity);
    };
    if (top_k) keep(amongTopK(scaled, top_k), "top_k");
    const afterK = left();
    if (top_p !== null) keep(amongTopP(scaled, top_p), "top_p");
    return {probabilities: softmax(scaled), cut, afterK, afterP: left()};
  }

  // What was typed, as Python reads it: an integer, a number, none, or text, which is put in quotes.
  function read(text) {
    const typed = text.trim().replace("−", "-"), quoted = typed.length > 24 ? `${typed.slice(0, 24)}…` : typed;
    if (/^(none)?$/i.test(typed)) return {value: null, quoted: typed ? "None" : "''"};
    if (/^[-+]?\d+$/.test(typed)) return {value: Number(typed), integer: true, quoted};
    if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(typed)) return {value: Number(typed), quoted};
    if (/^[-+]?(inf(inity)?|nan)$/i.test(typed)) return {value: /n$/i.test(typed) ? NaN : typed[0] === "-" ? -Infinity : Infinity, quoted};
    return {quoted: `'${quoted}'`};
  }

  // A setting, or an Error with what the package says of it.
  function setting(name, text, refused) {
    const {value, integer, quoted} = read(text);
    const fits = {
      temperature: value !== null && value >= 0 && value < Infinity,
      top_k: value === null || integer && value >= 0,
      top_p: value === null || value > 0 && value <= 1,
    }[name];
    if (!fits) throw new Error(refused[name].replace("{}", () => quoted));
    return value;
  }

  // Beside temperature 0 nothing may limit the draw.
  function check({temperature, top_k, top_p}, vocab, refused) {
    const limits = top_k > 0 && top_k < vocab || top_p !== null && top_p < 1;
    if (temperature === 0 && limits) throw new Error(refused.limited.replace("{top_k}", top_k ?? "None").replace("{top_p}", top_p ?? "None"));
  }

  // The first token at which the probabilities sum to more than `at`, from 0 to 1.
  function drawn(probabilities, at) {
    let sum = 0;
    const found = probabilities.findIndex(x => (sum += x) > at);
    return found < 0 ? probabilities.indexOf(Math.max(...probabilities.slice(0, 64))) : found;
  }

  const percent = share => share === 1 ? "100%" : share > 0 && share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
  const KS = [1, 2, 3, 5, 10, 20, 40, 64, 100, 1000, 10000, null];
  const RANGES = {temperature: [0, 2, 0.05], top_k: [0, KS.length - 1, 1], top_p: [0.05, 1, 0.05]};

  class TokenSampling extends Figure {
    static compute = compute;
    static setting = setting;
    static check = check;
    static drawn = drawn;
    static expanded = expanded;
    static css = `
      table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: 14px; line-height: 1.2; } th, td { padding: 1px 6px 1px 0; text-align: end; font-weight: 400; white-space: nowrap; }
      thead th { color: var(--look-muted); font-size: 12px; vertical-align: bottom; } thead th:nth-child(-n+2) { text-align: start; } .undrawn :is(th, td, col):nth-child(5) { display: none; }
      tbody th { text-align: start; font-family: ui-monospace, SFMono-Regular, Menlo, monospace; font-size: 13px; overflow: hidden; text-overflow: ellipsis; }
      td { font-variant-numeric: tabular-nums; } col:nth-child(1) { width: 8.5em; } col:nth-child(3) { width: 4em; } col:nth-child(4) { width: 7.5em; } col:nth-child(5) { width: 3.6em; }
      @media (max-width: 480px) { col:nth-child(1) { width: 7em; } col:nth-child(3) { width: 3.6em; } col:nth-child(4) { width: 5.8em; } tbody td:nth-child(4) { white-space: normal; } }
      .bar { position: relative; height: 16px; } .bar i { position: absolute; inset: 0 auto 0 0; box-sizing: border-box; min-width: 1px; }
      .bar .now { background: color-mix(in srgb, var(--look-text) 45%, transparent); } .bar .was { border: 1px solid var(--look-edge); }
      .cut th { text-decoration: line-through 2px; } .cut .now { display: none; } .cut td { color: var(--look-muted); }
      .others { border-top: 1px solid var(--look-edge); } .others th { font-family: inherit; white-space: normal; } .others .bar { display: none; }
      .settings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 0 1.25rem; flex: 1 1 100%; }
      .settings > div { display: flex; align-items: center; gap: 0.5rem; min-width: 0; } .settings input[type=text] { width: 4em; padding: 0 0.4rem; } .settings input[type=range] { min-width: 4rem; }`;

    start({start}) {
      return {prompt: 0, ...start, counts: null};
    }

    build({prompts, vocab, shown, step, refused}) {
      this.logits = prompts.map(prompt => expanded(prompt, step));
      this.before = this.logits.map(logits => compute(logits, {temperature: 1, top_k: null, top_p: null}).probabilities);
      this.rows = Array.from({length: Math.min(shown, prompts[0].tokens.length) + 1}, () => {
        const [was, now] = [make("i", {class: "was"}), make("i", {class: "now"})];
        const cells = Array.from({length: 3}, () => make("td"));
        const name = make("th", {scope: "row"});
        return {was, now, cells, name, node: make("tr", {}, name, make("td", {}, make("div", {class: "bar", "aria-hidden": "true"}, now, was)), cells)};
      });
      this.rows.at(-1).node.classList.add("others");
      this.scale = make("th", {scope: "col"});
      const head = ["token", this.scale, "as it is", "now", "drawn"].map(word => word.nodeType ? word : make("th", {scope: "col"}, word));
      this.caption = make("caption", {style: "text-align: start; padding-bottom: 4px"});
      this.stage.append(this.table = make("table", {}, this.caption, make("colgroup", {}, head.map(() => make("col"))), make("thead", {}, make("tr", {}, head)), make("tbody", {}, this.rows.map(row => row.node))));
      this.fields = Object.fromEntries(Object.keys(RANGES).map(name => [name, this.field(name, vocab, refused)]));
      this.prompt = select("prompt", Object.fromEntries(prompts.map(({text}, n) => [n, text])), n => this.set({prompt: +n, counts: null}));
      const draw = make("button", {type: "button", onclick: () => this.draw(100)}, "draw 100 tokens");
      const again = make("button", {type: "button", onclick: () => this.set(this.start(this.trace))}, "start again");
      this.controls.append(make("div", {class: "settings"}, Object.values(this.fields).map(field => field.node)), this.prompt.node, draw, again);
    }

    // A setting to be typed or slid. What the slider may not do leaves it where it was.
    field(name, vocab, refused) {
      const change = value => {
        check({...this.state, [name]: value}, vocab, refused);
        this.set({[name]: value, counts: null});
      };
      const typed = number(name, text => setting(name, text, refused), change, why => this.refuse(why));
      const [min, max, step] = RANGES[name];
      const range = make("input", {type: "range", min, max, step, "aria-label": `${name}, slider`, oninput: () => {
        const value = name === "top_k" ? KS[+range.value] : +range.value;
        try { change(value); } catch (error) { this.refuse(error.message); slide(this.state[name]); }
      }});
      const slide = value => {
        range.value = name === "top_k" ? KS.findLastIndex(k => value ? k !== null && k <= value : k === null) : value ?? 1;
        range.setAttribute("aria-valuetext", value ?? "None");
      };
      return {node: make("div", {}, typed.node, range), show: value => { typed.show(value ?? "None"); slide(value); }};
    }

    draw(times) {
      const counts = new Map(this.state.counts), {probabilities} = this.made;
      for (let i = 0; i < times; i++) {
        const token = drawn(probabilities, Math.random());
        counts.set(token, (counts.get(token) ?? 0) + 1);
      }
      this.set({counts});
    }

    show(state, {prompts, vocab}) {
      const {text, tokens} = prompts[state.prompt], before = this.before[state.prompt];
      const {probabilities, cut} = this.made = compute(this.logits[state.prompt], state);
      const listed = this.rows.length - 1, rest = list => list.slice(listed).reduce((a, b) => a + b, 0);
      const most = [0.05, 0.1, 0.2, 0.3, 0.5, 1].find(share => share >= Math.max(...before.slice(0, listed), ...probabilities.slice(0, listed)));
      const drawnOf = (from, to) => [...state.counts ?? []].reduce((sum, [token, count]) => token >= from && token < to ? sum + count : sum, 0);
      this.rows.forEach((row, i) => {
        const others = i === listed, was = others ? rest(before) : before[i], now = others ? rest(probabilities) : probabilities[i];
        const gone = others ? cut.slice(listed).every(Boolean) : !!cut[i];
        row.name.textContent = others ? `${(vocab - listed).toLocaleString("en")} others` : tokens[i];
        row.was.style.width = `${100 * was / most}%`;
        row.now.style.width = `${100 * now / most}%`;
        row.node.classList.toggle("cut", gone);
        const why = others ? `${cut.slice(listed).filter(each => !each).length.toLocaleString("en")} left` : "";
        row.cells[0].textContent = percent(was);
        row.cells[1].textContent = gone ? (others ? "all cut" : `cut: ${cut[i]}`) : [percent(now), why].filter(Boolean).join(", ");
        row.cells[2].textContent = state.counts ? drawnOf(others ? listed : i, others ? vocab : i + 1) || "" : "";
      });
      this.scale.textContent = `0 to ${100 * most}%`;
      this.caption.textContent = `After “${text}”. Outlined: as it is; filled: now`;
      this.table.classList.toggle("undrawn", !state.counts);
      this.prompt.show(state.prompt);
      for (const [name, field] of Object.entries(this.fields)) field.show(state[name]);
      const first = state.counts ? `${drawnOf(0, vocab)} drawn, ${tokens[0]} ${drawnOf(0, 1)} times. ` : "";
      this.say(first + this.sentence(state, tokens[0], before[0], vocab));
    }

    // What each setting leaves, in the order in which they are applied.
    sentence({temperature, top_k, top_p}, token, before, vocab) {
      const {probabilities, cut, afterK, afterP} = this.made;
      if (temperature === 0) return `Temperature 0 takes the likeliest token, ${token}, whatever its logit is.`;
      const left = without => cut.filter(each => !without.includes(each)).length.toLocaleString("en"), all = vocab.toLocaleString("en");
      const said = [`Logits / ${temperature}, then softmax`];
      if (top_k) said.push(`top_k ${top_k} leaves ${left(["top_k"])} of ${all} tokens, with ${percent(afterK)}`);
      if (top_p !== null) said.push(`top_p ${top_p} leaves ${left(["top_k", "top_p"])}, with ${percent(afterP / afterK)}${top_k ? " of that" : ""}`);
      if (top_k || top_p !== null) said.push(`what is left is divided by its sum, ${afterP.toFixed(3)}`);
      return `${said.join("; ")}. ${token} goes from ${percent(before)} to ${percent(probabilities[0])}.`;
    }
  }

  customElements.define("token-sampling", TokenSampling);
})();
