// Every head of a model as a thumbnail of its weights, one of them large. The weights come as bytes; nothing is computed but words and order.
(() => {
  if (customElements.get("head-atlas")) return;
  const Figure = customElements.get("shape-figure");
  const {make, shape, Matrix, select} = Figure.parts;

  // The lower triangles of all heads, a byte for each weight.
  const unpacked = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

  // One head's weights (q_len, kv_len), 0 where the mask is.
  function weightsOf(bytes, head, length) {
    const first = head * length * (length + 1) / 2;
    return Array.from({length}, (_, i) => Array.from({length}, (_, j) => j > i ? 0 : bytes[first + i * (i + 1) / 2 + j] / 255));
  }

  // Which head stands where, row by row: layers across in bands and heads down, or those with most of a share first.
  function arranged({layers, heads, columns}, shares) {
    if (shares) return shares.map((_, head) => head).sort((a, b) => shares[b] - shares[a] || a - b);
    const rows = Math.ceil(layers / columns) * heads;
    return Array.from({length: rows * columns}, (_, place) => {
      const row = Math.floor(place / columns), layer = Math.floor(row / heads) * columns + place % columns;
      return layer < layers ? layer * heads + row % heads : null;
    });
  }

  const percent = weight => `${Math.round(100 * weight)}%`;
  const likeliest = row => row.indexOf(Math.max(...row));

  // What each query attends most, neighbors with the same key together: [first query, last query, key].
  function most(weights) {
    const found = [];
    weights.forEach((row, i) => {
      const key = likeliest(row), last = found.at(-1);
      if (last && last[2] === key) last[1] = i;
      else found.push([i, i, key]);
    });
    return found;
  }

  class HeadAtlas extends Figure {
    static unpacked = unpacked;
    static weightsOf = (text, head, length) => weightsOf(unpacked(text), head, length);
    static arranged = arranged;
    static most = most;
    static css = `
      .atlas { flex: 1 1 22rem; max-width: 27rem; min-width: 0; } .large { flex: 1 1 18rem; min-width: 0; container-type: inline-size; }
      .stage { align-items: start; } .matrix { display: flex; } .matrix .name { white-space: normal; }
      .atlas [role=grid] { position: relative; width: 100%; border: 0; grid-template-columns: repeat(var(--across), 1fr) !important; }
      .atlas .matrix [role=gridcell] { position: relative; min-width: 0; height: auto; aspect-ratio: 1; border: 0; padding: 0; background: none; cursor: pointer; }
      .atlas canvas { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
      .atlas .band { border-top: 2px solid var(--look-edge) !important; } .atlas .group { border-top: 1px solid var(--look-edge) !important; }
      .beside { display: grid; grid-template-columns: auto minmax(0, 1fr); column-gap: 4px; color: var(--look-muted); font-size: 12px; line-height: 1; }
      .down { display: grid; grid-auto-rows: 1fr; align-items: center; text-align: end; }
      .across { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); grid-column: 2; text-align: center; padding: 3px 0; }
      .ordered :is(.down, .across) { display: none; } .beside.ordered { grid-template-columns: minmax(0, 1fr); }
      .large .beside { width: max-content; --cell: min(27px, calc((100cqi - var(--words) * 1px - 12px) / var(--length))); color: var(--look-text); }
      .large .down { grid-auto-rows: var(--cell); } .large .across { grid-auto-columns: var(--cell); align-items: end; }
      .large .across span { writing-mode: vertical-rl; transform: rotate(180deg); justify-self: center; }
      .large .matrix [role=gridcell] { min-width: 0; width: var(--cell); height: var(--cell); padding: 0; font-size: 12px; letter-spacing: -0.03em; }
      .large .down { padding-top: 3px; } .large .across { padding-inline-start: 3px; }
      .large .lit { box-shadow: inset 0 2px var(--look-text), inset 0 -2px var(--look-text); }
      .sentence { display: flex; flex-wrap: wrap; gap: 4px; margin-top: 0.6rem; }
      .sentence button { position: relative; display: grid; padding: 2px 8px 0; line-height: 1.2; min-width: 44px; justify-items: center;
        background: color-mix(in srgb, var(--look-positive) calc(var(--strength, 0) * var(--look-most) * 100%), var(--look-activations)); }
      .sentence small { font-size: 12px; } .sentence [aria-pressed=true] { box-shadow: inset 0 0 0 3px var(--look-focus); }
      .sentence .after { border-style: dashed; color: var(--look-muted); }
      .scale { display: inline-flex; align-items: center; gap: 4px; font-size: 12px; color: var(--look-muted); }
      .scale i { width: 18px; height: 12px; border: 1px solid var(--look-edge);
        background: color-mix(in srgb, var(--look-positive) calc(var(--strength) * 100%), var(--look-activations)); }`;

    start({start, sentences}) {
      return {sentence: 0, head: start, over: null, order: "", query: sentences[0].tokens.length - 1};
    }

    build(trace) {
      const {layers, heads, columns, sentences} = trace, rows = Math.ceil(layers / columns) * heads;
      this.sentences = sentences.map(each => ({...each, bytes: unpacked(each.weights)}));
      this.atlas = new Matrix({name: "heads", rows, columns, picks: (i, j) => this.pick(i, j)});
      this.atlas.grid.style.setProperty("--across", columns);
      this.atlas.grid.addEventListener("pointerleave", () => this.state.over !== null && this.set({over: null}));
      this.canvas = make("canvas", {"aria-hidden": "true"});
      this.atlas.grid.prepend(this.canvas);
      const labels = (kind, words) => make("div", {class: kind, "aria-hidden": "true"}, words.map(word => make("span", {}, String(word))));
      const band = number => labels("across", Array.from({length: columns}, (_, j) => number * columns + j < layers ? number * columns + j : ""));
      const bands = Array.from({length: rows / heads}, (_, number) => band(number));
      const down = labels("down", Array.from({length: rows}, (_, i) => i % heads));
      this.beside = make("div", {class: "beside"}, bands[0], down, this.atlas.grid, bands.slice(1));
      this.heading = this.atlas.node.firstChild;
      this.atlas.node.append(this.beside);
      this.maps = sentences.map(({tokens}, n) => this.large(tokens, labels));
      this.strip = make("div", {class: "sentence", role: "group", "aria-label": "query, and what it reads"});
      this.stage.append(make("div", {class: "atlas"}, this.atlas.node), make("div", {class: "large"}, this.maps.map(map => map.node), this.strip));
      this.choose = select("sentence", Object.fromEntries(sentences.map(({text}, n) => [n, text])),
        n => this.set({sentence: +n, query: sentences[n].tokens.length - 1, order: this.state.order in sentences[n].shares ? this.state.order : ""}));
      const numbers = (label, count) => Object.fromEntries(Array.from({length: count}, (_, n) => [n, n]));
      this.layer = select("layer", numbers("layer", layers), n => this.set({head: n * heads + this.state.head % heads}));
      this.head = select("head", numbers("head", heads), n => this.set({head: Math.floor(this.state.head / heads) * heads + +n}));
      this.order = select("order by", {"": "layer and head", ...trace.words}, order => this.set({order}));
      const tints = [0, 0.25, 0.5, 0.75, 1].map(step => make("i", {style: `--strength: ${step}`}));
      this.atlas.node.append(make("span", {class: "scale"}, "0", tints, "100%"));
      this.controls.append(this.choose.node, this.order.node, this.layer.node, this.head.node);
      new ResizeObserver(() => this.draw()).observe(this.atlas.grid);
      const themed = new MutationObserver(() => this.draw());
      for (const node of [document.documentElement, document.body]) themed.observe(node, {attributes: true});
    }

    // The map of one head in large, with the tokens beside it.
    large(tokens, labels) {
      const map = new Matrix({name: "weights", rows: tokens.length, columns: tokens.length, axes: ["q_len", "kv_len"], picks: i => this.set({query: i})});
      const style = `--length: ${tokens.length}; --words: ${7.2 * Math.max(...tokens.map(token => token.length))}`;
      map.node.append(make("div", {class: "beside", style}, labels("across", tokens), labels("down", tokens), map.grid));
      return map;
    }

    // A thumbnail: the pointer looks at it while it is there, a press or the keyboard takes it.
    pick(i, j) {
      const head = this.places?.[i * this.trace.columns + j];
      if (head == null) return;
      const taken = this.shadowRoot.activeElement === this.atlas.cells[i][j];
      this.set(taken ? {head, over: null} : {over: head});
    }

    show(state, trace) {
      const sentence = this.sentences[state.sentence], head = state.over ?? state.head, length = sentence.tokens.length;
      const weights = this.made = weightsOf(sentence.bytes, head, length);
      this.arrange(state, trace, sentence);
      this.atlas.cells.forEach((row, i) => row.forEach((cell, j) => cell.classList.toggle("picked", this.places[i * trace.columns + j] === head)));
      this.maps.forEach((map, n) => { map.node.hidden = n !== state.sentence; map.node.style.display = n === state.sentence ? "" : "none"; });
      const map = this.maps[state.sentence];
      map.rename(`layer ${Math.floor(head / trace.heads)}, head ${head % trace.heads}`);
      map.show(weights, {hides: (i, j) => j > i, write: weight => weight >= 0.095 ? Math.round(100 * weight) : ""});
      map.mark(i => i === state.query);
      map.cells.forEach((row, i) => row.forEach((cell, j) => cell.setAttribute("aria-label",
        `${sentence.tokens[i]} to ${sentence.tokens[j]}: ${j > i ? "masked" : percent(weights[i][j])}`)));
      this.press(state, sentence, weights);
      this.choose.show(state.sentence);
      this.order.show(state.order);
      this.layer.show(Math.floor(head / trace.heads));
      this.head.show(head % trace.heads);
      this.say(this.sentence(state, trace, sentence, head, weights));
    }

    // The thumbnails in their order, when the order or the sentence is another.
    arrange({order}, trace, sentence) {
      if (this.arrangedFor === order && this.shown === sentence) return;
      [this.arrangedFor, this.shown] = [order, sentence];
      const {heads, kvHeads, columns} = trace, shares = sentence.shares[order];
      this.places = arranged(trace, shares);
      this.beside.classList.toggle("ordered", !!shares);
      this.atlas.cells.forEach((row, i) => row.forEach((cell, j) => {
        const head = this.places[i * columns + j];
        cell.setAttribute("aria-label", head == null ? "no head" : `layer ${Math.floor(head / heads)}, head ${head % heads}${shares ? `: ${percent(shares[head] / 1000)}` : ""}`);
        cell.classList.toggle("band", !shares && i > 0 && i % heads === 0);
        cell.classList.toggle("group", !shares && i % heads > 0 && i % (heads / kvHeads) === 0);
      }));
      const size = shape([trace.layers, heads, ...Array(2).fill(sentence.tokens.length)], ["", "heads", "q_len", "kv_len"]);
      this.heading.replaceChildren("weights ", size, shares ? `, most on ${trace.words[order]} first` : ", layers across, heads down");
      this.atlas.grid.setAttribute("aria-label", this.heading.textContent);
      for (const option of this.order.input.options) option.disabled = option.value !== "" && !(option.value in sentence.shares);
      this.draw();
    }

    draw() {
      const width = this.atlas.grid.clientWidth, height = this.atlas.grid.clientHeight, scale = devicePixelRatio || 1;
      if (!width || !this.places) return;
      Object.assign(this.canvas, {width: Math.round(width * scale), height: Math.round(height * scale)});
      const pen = this.canvas.getContext("2d"), style = getComputedStyle(this), length = this.shown.tokens.length;
      const ink = name => style.getPropertyValue(`--look-${name}`).trim();
      pen.scale(scale, scale);
      this.atlas.cells.flat().forEach((cell, place) => {
        if (this.places[place] == null) return;
        const side = cell.offsetWidth, unit = (side - 3) / length, [x, y] = [cell.offsetLeft + 1.5, cell.offsetTop + cell.offsetHeight - side + 1.5];
        const weights = weightsOf(this.shown.bytes, this.places[place], length);
        pen.globalAlpha = 1;
        pen.strokeStyle = ink("rule");
        pen.strokeRect(x - 0.5, y - 0.5, side - 2, side - 2);
        pen.fillStyle = ink("positive");
        weights.forEach((row, i) => row.forEach((weight, j) => {
          pen.globalAlpha = weight;
          if (weight) pen.fillRect(x + j * unit, y + i * unit, unit, unit);
        }));
      });
    }

    // The sentence as buttons: press one to see what it reads.
    press({query}, {tokens}, weights) {
      if (this.pressed !== tokens) {
        this.pressed = tokens;
        this.strip.replaceChildren(...tokens.map((token, i) =>
          make("button", {type: "button", onclick: () => this.set({query: i})}, make("span", {}, token), make("small"))));
      }
      [...this.strip.children].forEach((button, i) => {
        button.setAttribute("aria-pressed", i === query);
        button.classList.toggle("after", i > query);
        button.style.setProperty("--strength", weights[query][i]);
        button.lastChild.textContent = i > query ? "later" : percent(weights[query][i]);
      });
    }

    sentence({query}, {heads, kvHeads, words}, {tokens, shares}, head, weights) {
      const named = i => `“${tokens[i]}”${tokens.indexOf(tokens[i]) < i || tokens.lastIndexOf(tokens[i]) > i ? ` (${i})` : ""}`;
      const group = heads / kvHeads, kv = Math.floor(head % heads / group), key = likeliest(weights[query]);
      const shared = group > 1 ? `, which query heads ${kv * group} to ${(kv + 1) * group - 1} share` : "";
      const each = most(weights).map(([from, to, k]) => `${named(from)}${to > from ? ` to ${named(to)}` : ""} → ${named(k)}`).join("; ");
      const means = Object.keys(shares).map(name => `${percent(shares[name][head] / 1000)} on ${words[name]}`).join(", ");
      return `Layer ${Math.floor(head / heads)}, head ${head % heads}, KV head ${kv}${shared}. ${named(query)} takes ${percent(weights[query][key])} of the value of ${named(key)}. `
        + `What each query attends most: ${each}. On average: ${means}.`;
    }
  }

  customElements.define("head-atlas", HeadAtlas);
})();
