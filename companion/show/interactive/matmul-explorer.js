// Two shapes and what torch.matmul makes of them: `explain` is the package's explain_matmul, step by step and word by word.
(() => {
  if (customElements.get("matmul-explorer")) return;
  const Figure = customElements.get("shape-figure");
  const {make, number} = Figure.parts;

  const DRAWN = 6, NARROW = 4;  // axes, of those that there are the last
  const HUGE = 2n ** 63n;  // torch keeps sizes in 64 bits
  const tuple = sizes => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;
  const product = sizes => sizes.reduce((a, b) => a * b, 1n);
  const short = text => text.length > 24 ? `${text.slice(0, 24)}…` : text;

  // A shape as it is typed: "(2, 3)", "[2, 3]", "2, 3", "(3,)" or "3". Throws an Error that says why it is none.
  function parse(text) {
    const typed = text.trim().replace(/^torch\.Size\(([^]*)\)$/, "$1").trim();
    if (!typed) throw new Error("no shape yet: sizes with commas between them, as in (2, 3)");
    const [opens, closes] = [typed.match(/^[([]*/)[0], typed.match(/[)\]]*$/)[0]];
    const pair = opens + closes;
    if (!["", "()", "[]"].includes(pair)) {
      const open = opens.length > closes.length;
      throw new Error(opens.length + closes.length === 1 ? `SyntaxError: ${open ? `'${opens}' was never closed` : `unmatched '${closes}'`}`
        : `${short(typed)} is no shape: one pair of parentheses around the sizes, as in (2, 3)`);
    }
    const inside = (pair ? typed.slice(1, -1) : typed).trim();
    if (!inside) return [];
    return inside.replace(/,\s*$/, "").split(",").map(each => size(each.trim(), typed));
  }

  function size(text, typed) {
    if (/^[-−]?\d+(_\d+)*$/.test(text)) {
      const value = BigInt(text.replace("−", "-").replaceAll("_", ""));
      if (value < HUGE) return value;
      throw new Error(`Overflow when unpacking long long: ${short(text)} is more than 2⁶³ − 1, the largest size that torch takes`);
    }
    if (!text) throw new Error(`SyntaxError: no size between two commas in ${short(typed)}`);
    const float = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text);
    throw new Error(float ? `TypeError: a shape must be tuple of ints, but got float: ${short(text)}`
      : `“${short(text)}” is no size: whole numbers with commas between them, as in (2, 3)`);
  }

  function check(name, sizes) {
    if (!sizes.length) throw new Error(`${name} has no axes: torch.matmul needs at least one; multiply by a scalar with *`);
    if (sizes.some(n => n < 0n)) throw new Error(`${name} is ${tuple(sizes)}: a size cannot be negative`);
  }

  function kind(a, b) {
    const names = {"1,1": "dot product of two vectors", "2,2": "matrix product", "1,2": "vector times matrix", "2,1": "matrix times vector"};
    return names[[a.length, b.length]] || "batched matrix product";
  }

  // Sizes under one another from the right; `drawn` is how far it came, and `why` what torch refuses.
  function explain(aShape, bShape) {
    const [a, b] = [aShape, bShape].map(sizes => sizes.map(BigInt));
    const full = [a.length === 1 ? [1n, ...a] : a, b.length === 1 ? [...b, 1n] : b];
    const steps = [], drawn = {a: full[0], b: full[1], added: [a.length === 1, b.length === 1]};
    try {
      check("a", a);
      check("b", b);
      steps.push(`${tuple(a)} @ ${tuple(b)}: ${kind(a, b)}`);
      if (a.length === 1) steps.push(`a has one axis: it becomes the row ${tuple(full[0])}`);
      if (b.length === 1) steps.push(`b has one axis: it becomes the column ${tuple(full[1])}`);
      const [[rows, inner], [met, columns]] = full.map(sizes => sizes.slice(-2));
      if (inner !== met) {
        const fits = b.length > 1 && inner === columns ? "; b.mT would fit" : "";
        throw new Error(`the last axis of a ${tuple(a)} is ${inner} and the ${b.length === 1 ? "only" : "second-to-last"} axis of b ${tuple(b)} is ${met}: `
          + `they are summed over and must be equal${fits}`);
      }
      steps.push(`matrices: (${rows}, ${inner}) @ (${inner}, ${columns}) sums over ${inner} and gives (${rows}, ${columns})`);
      const batch = broadcast(full[0].slice(0, -2), full[1].slice(0, -2), steps);
      const result = [...batch, rows, columns];
      const kept = [...batch, ...(a.length > 1 ? [rows] : []), ...(b.length > 1 ? [columns] : [])];
      if (kept.length < result.length) steps.push(`the axis added to make a matrix is removed again: ${tuple(result)} becomes ${tuple(kept)}`);
      return {shape: tuple(kept), steps, flops: String(2n * product(result) * inner), drawn: {...drawn, result}};
    } catch (error) {
      return {why: error.message, steps, drawn};
    }
  }

  function broadcast(a, b, steps) {
    if (!a.length && !b.length) return [];
    const result = [];
    for (let place = 1; place <= Math.max(a.length, b.length); place++) {
      const [x, y] = [a, b].map(sizes => sizes[sizes.length - place] ?? 1n);
      if (x !== y && x !== 1n && y !== 1n) {
        throw new Error(`batch axis ${-2 - place} is ${x} in a and ${y} in b (batch axes ${tuple(a)} and ${tuple(b)}): they must be equal, or one of them 1 or missing`);
      }
      result.unshift(x === 1n ? y : x);
    }
    steps.push(`batch axes: ${tuple(a)} and ${tuple(b)}, aligned at the right, broadcast to ${tuple(result)}`);
    return result;
  }

  class MatmulExplorer extends Figure {
    static explain = (a, b) => (({drawn, ...found}) => found)(explain(a, b));
    static read = text => parse(text).map(String);
    static css = `.controls { order: -1; } input[type=text] { width: min(11rem, 60vw); } .examples { display: flex; flex-wrap: wrap; gap: 0.5rem; }
      .stage { align-items: flex-start; gap: 1rem 2.5rem; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th { font-weight: 400; text-align: start; padding: 0 0.75rem 0 0; }
      thead th, .added { color: var(--look-muted); font-size: 14px; } :is(thead th + th, td) { padding: 0.25rem 0.5rem; text-align: end; }
      td { min-width: 46px; max-width: 7em; line-height: 1.3; overflow-wrap: anywhere; } td span { display: block; height: 4px; margin: 3px 0 0 auto; background: var(--look-text); }
      td.stretched span { height: 0; border-bottom: 4px dotted var(--look-text); background: none; } td.clashes { font-weight: 700; box-shadow: inset 0 0 0 2px var(--look-text); }
      tr.result { border-top: 1px solid var(--look-edge); } thead th:first-child { padding-inline-end: 0; }
      .scroll { max-width: 100%; overflow-x: auto; } ol { margin: 0; padding-inline-start: 1.4rem; flex: 1 1 100%; } svg { display: block; max-width: 100%; height: auto; } text { fill: var(--look-text); font-size: 14px; }`;

    start({start}) {
      return {a: start[0], b: start[1]};
    }

    build({examples}) {
      const field = (name, label) => number(label, text => (parse(text), text), text => this.set({[name]: text}), why => this.refuse(`${name}: ${why}`));
      this.fields = {a: field("a", "a ="), b: field("b", "@ b =")};
      const tap = ([a, b]) => make("button", {type: "button", onclick: () => this.set({a, b})}, `${a} @ ${b}`);
      this.controls.append(this.fields.a.node, this.fields.b.node, make("div", {class: "examples"}, examples.map(tap)));
      this.axes = make("div", {class: "scroll"});
      this.scheme = make("div");
      this.steps = make("ol");
      this.stage.append(this.axes, this.scheme, this.steps);
    }

    show({a, b}) {
      const found = this.found = explain(parse(a), parse(b)), {drawn, steps, why} = found;
      this.fields.a.show(a);
      this.fields.b.show(b);
      const has = drawn.a.length > 1 && drawn.b.length > 1 && ![...drawn.a, ...drawn.b].some(n => n < 0n);
      this.axes.replaceChildren(...(has ? [table(found, this.clientWidth < 480 ? NARROW : DRAWN)] : []));
      this.scheme.replaceChildren(...(has ? [scheme(found)] : []));
      const listed = steps.map(step => make("li", {}, step.length > 400 ? `${step.slice(0, 400)} …` : step));
      this.steps.replaceChildren(...listed);
      if (why) this.refuse(`ValueError: ${why.length > 600 ? `${why.slice(0, 600)} …` : why}`);
      else this.say(`${named(parse(a))} @ ${named(parse(b))} is ${named(drawn.result, found.shape)}: ${amount(found.flops)}FLOPs, a multiply and an add as two`);
    }
  }

  const named = (sizes, text = tuple(sizes)) => text.length > 90 ? `(… ${sizes.length} axes …, ${sizes.slice(-2).join(", ")})` : text;

  // Exact below 10,000, else three digits with a prefix, as the package's tables have it.
  function amount(text) {
    if (text.length < 5) return `${text.replace(/(\d)(?=\d{3}$)/, "$1,")} `;
    const [digits, exponent] = Number(text).toExponential(2).split("e+");
    const prefix = "kMGTPE"[Math.floor(exponent / 3) - 1];
    return prefix ? `${(digits * 10 ** (exponent % 3)).toFixed(2 - exponent % 3)} ${prefix}` : `${digits}e${exponent} `;
  }

  // How long a side is drawn: a logarithm, and nearly nothing for an axis of no elements.
  const log = n => Math.log2(Number(n));
  const sides = sizes => {
    const unit = Math.min(18, 84 / Math.max(1, ...sizes.filter(n => n > 0n).map(log)));
    return n => n === 0n ? 3 : 18 + unit * log(n);
  };

  // The axes under one another, flush right; where a 1 stretches its bar is dashed as far as the other's.
  function table({drawn}, most) {
    const names = ["a", "b", ...(drawn.result ? ["result"] : [])];
    const width = Math.max(...names.map(name => drawn[name].length)), columns = Math.min(width, most);
    const from = (name, place) => drawn[name]?.[drawn[name].length - place];
    const largest = Math.max(2, ...names.flatMap(name => drawn[name].slice(-columns).map(n => log(n + 1n))));
    const places = Array.from({length: columns}, (_, i) => columns - i);
    const cell = (name, place) => {
      const own = from(name, place), [a, b] = [from("a", place), from("b", place)], batch = place > 2;
      const other = name === "a" ? b : a, stretched = batch && name !== "result" && (own ?? 1n) === 1n && (other ?? 1n) !== 1n;
      const clashes = !drawn.result && (batch ? own !== undefined && other !== undefined && own !== other && own !== 1n && other !== 1n
        : place === (name === "a" ? 1 : 2) && from("a", 1) !== from("b", 2));
      const bar = make("span", {style: `width: ${4 + 40 * log((stretched ? other : own ?? 0n) + 1n) / largest}px`});
      const added = place === (name === "a" ? 2 : 1) && drawn.added["ab".indexOf(name)];
      const words = stretched ? `${own ?? ""}→${brief(other)}` : own === undefined ? "" : brief(own);
      return make("td", {class: [stretched && "stretched", clashes && "clashes", added && "added"].filter(Boolean).join(" ")}, words, own !== undefined || stretched ? bar : null);
    };
    const head = places.map(place => make("th", {scope: "col"}, `−${place}`));
    const more = width > columns ? `, ${width - columns} more before` : "";
    return make("table", {}, make("thead", {}, make("tr", {}, make("th", {scope: "col"}, `axis${more}`), head)),
      make("tbody", {}, names.map(name => make("tr", {class: name}, make("th", {scope: "row"}, name), places.map(place => cell(name, place))))));
  }

  // a beside the result and b above it: the sides that are summed over meet in a quarter circle, if they are equal.
  function scheme({drawn}) {
    const [[rows, inner], [met, columns]] = [drawn.a, drawn.b].map(sizes => sizes.slice(-2)), fits = inner === met;
    const long = sides([rows, inner, met, columns]), [down, wide, across] = [rows, inner, columns].map(long);
    const high = fits || Math.abs(long(met) - wide) > 9 ? long(met) : wide + (met > inner ? 10 : -10);
    const [x, y] = [Math.max(wide, 40) + 40, Math.max(high, wide) + 44], [w, h] = [x + Math.max(across + 60, 110), y + Math.max(down, 20) + 26];
    const text = (left, top, words, anchor = "middle") => make("text", {x: left, y: top, "text-anchor": anchor, "dominant-baseline": "central"}, words);
    const box = (left, top, width, height, dash) =>
      make("rect", {x: left, y: top, width, height, rx: 4, style: "fill: var(--look-activations); stroke: var(--look-text)", "stroke-dasharray": dash});
    const arc = (radius, dash) =>
      make("path", {d: `M${x - radius} ${y}A${radius} ${radius} 0 0 1 ${x} ${y - radius}`, style: "fill: none; stroke: var(--look-edge)", "stroke-width": 2, "stroke-dasharray": dash});
    const many = drawn.result ? product(drawn.result.slice(0, -2)) : 1n;
    const parts = [text(0, 8, many === 1n ? "the matrix product" : `one of ${brief(many)} matrix products`, "start"), arc(wide, fits ? null : "4 3"), fits ? null : arc(high, "4 3"),
      box(x - wide, y, wide, down, drawn.added[0] ? "5 3" : null), box(x, y - high, across, high, drawn.added[1] ? "5 3" : null), box(x, y, across, down, drawn.result ? null : "2 3"),
      text(x - wide / 2, y + down / 2, "a"), text(x + across / 2, y - high / 2, "b"), text(x + across + 6, y + down / 2, drawn.result ? "a @ b" : "none", "start"),
      text(x - wide - 6, y + down / 2, brief(rows), "end"), text(x + across / 2, y - high - 10, brief(columns)),
      text(x - wide / 2, y + down + 12, brief(inner)), text(x + across + 6, y - high / 2, fits ? brief(met) : `${brief(met)} ≠ ${brief(inner)}`, "start")];
    const words = `a is ${rows} by ${inner}, b ${met} by ${columns}: ${drawn.result ? `summed over ${inner}, a result of ${rows} by ${columns}` : "no result"}`;
    return make("svg", {viewBox: `0 0 ${w} ${h}`, width: w, height: h, role: "img", "aria-label": words}, parts);
  }

  const brief = n => n < 100000n ? String(n) : Number(n).toExponential(1).replace("e+", "e");

  customElements.define("matmul-explorer", MatmulExplorer);
})();
