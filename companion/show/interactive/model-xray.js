// A model from its tokens to the next word: what leaves every layer, one row each, and what the head makes of it.
(() => {
  if (customElements.get("model-xray")) return;
  const Figure = customElements.get("shape-figure");
  const {make, brief, amount, shape, steps} = Figure.parts;

  const AXES = {3: ["batch", "q_len", "hidden"]};
  const within = (number, most) => Math.min(Math.max(Math.trunc(number) || 0, 0), most);

  // The likeliest words of a step after a token, with their shares.
  function likeliest({words, lens}, step, token) {
    const found = lens[within(step, lens.length - 1)][token];
    return Array.from({length: found.length / 2}, (_, i) => [words[found[2 * i]], found[2 * i + 1] / 1000]);
  }

  // The step and the token at a place in the picture, given in parts of its width and height.
  function at(across, down, tokens, rows) {
    return {token: within(across * tokens, tokens - 1), step: within(down * rows, rows - 1)};
  }

  class ModelXray extends Figure {
    static likeliest = likeliest;
    static at = at;
    static css = `
      .stage { display: grid; grid-template-columns: minmax(0, 27.5rem) minmax(10.5rem, 1fr); gap: 0.5rem 1.5rem; align-items: start; }
      .flow { display: grid; grid-template-columns: 84px minmax(0, 1fr); font-size: 13px; }
      .tokens { grid-column: 2; display: grid; grid-auto-columns: minmax(0, 1fr); grid-auto-flow: column; border-top: 3px solid var(--look-q); }
      .tokens button { padding: 0; border-radius: 0; border-inline-start-width: 0; overflow: hidden; text-overflow: ellipsis; }
      .tokens button:first-child { border-inline-start-width: 1px; }
      .tokens button[aria-pressed=true] { font-weight: 700; box-shadow: inset 0 -4px var(--look-text); }
      .names { position: relative; }
      .names span { position: absolute; inset-inline-end: 0.5rem; transform: translateY(-50%); line-height: 1; white-space: nowrap; }
      .names .here { font-weight: 700; }
      .picture { position: relative; height: 264px; overflow: hidden; border: 1px solid var(--look-edge); border-top: 0; cursor: crosshair; touch-action: pan-y; }
      .picture svg.ink { position: absolute; inset: 0; width: 100%; height: 100%; }
      .row { position: absolute; inset-inline: 0; box-shadow: 0 0 0 2px var(--look-text); pointer-events: none; }
      .column { position: absolute; inset-block: 0; border-inline-end: 1px solid var(--look-edge); pointer-events: none; }
      .column.here { border-inline: 2px solid var(--look-text); }
      .below { grid-column: 2; display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; color: var(--look-muted); padding-top: 0.25rem; }
      .scale { display: inline-flex; gap: 0.35rem; align-items: center; }
      .scale i { width: 64px; height: 10px; border: 1px solid var(--look-edge);
        background: linear-gradient(to right, var(--look-negative), transparent, var(--look-positive)); }
      .head { display: grid; gap: 0.15rem; font-variant-numeric: tabular-nums; }
      .head p { margin: 0; min-height: 4.35em; } .word { display: grid; grid-template-columns: 1fr auto; gap: 0 0.5rem; font-size: 14px; }
      .word span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      .word i { grid-column: 1 / -1; height: 9px; min-width: 1px; background: color-mix(in srgb, var(--look-text) 42%, transparent); border: 1px solid var(--look-edge); box-sizing: border-box; }
      .cost { margin: 0.4rem 0 0; display: grid; grid-template-columns: auto 1fr; gap: 0 0.6rem; font-size: 14px; }
      .cost dt { color: var(--look-muted); } .cost dd { margin: 0; text-align: end; }
      .readout { min-height: 5.8em; } .readout code { font-size: 13px; }
      @media (max-width: 560px) {
        .stage { grid-template-columns: minmax(0, 1fr); } .flow { grid-template-columns: minmax(0, 1fr); }
        .tokens, .below { grid-column: 1; } .names { display: none; } .tokens button { font-size: 12px; }
        .picture { height: 48px; } .picture .all { position: absolute; inset: 0 0 auto; height: calc(var(--rows) * 48px); top: calc(var(--row) * -48px); }
        .row { display: none; } .head p { min-height: 2.9em; } .readout { min-height: 14em; max-height: none; }
      }`;

    start({names, tokens}) {
      return {step: names.length - 1, token: tokens.length - 1};
    }

    build({tokens, names, shapes}) {
      const rows = this.rows = names.length - 1;
      this.tokens = tokens.map((word, token) => make("button", {type: "button", onclick: () => this.set({token})}, word));
      this.names = names.slice(0, rows).map((name, i) => make("span", {style: `top: ${100 * (i + 0.5) / rows}%`}, name));
      this.ink = this.querySelector("svg.ink").cloneNode(true);
      this.row = make("div", {class: "row"});
      this.columns = tokens.map((_, i) => make("div", {class: "column", style: `width: ${100 / tokens.length}%; inset-inline-start: ${100 * i / tokens.length}%`}));
      this.all = make("div", {class: "all", style: "position: absolute; inset: 0"}, this.ink, this.row, this.columns);
      this.picture = make("div", {class: "picture", "aria-hidden": "true",
        onpointermove: event => event.pointerType === "mouse" && this.point(event), onpointerdown: event => this.point(event)}, this.all);
      this.picture.style.setProperty("--rows", rows);
      const scale = make("span", {class: "scale"}, "−3", make("i", {}), "3 × root mean square");
      const group = make("div", {class: "tokens", role: "group", "aria-label": "the head reads after"}, this.tokens);
      this.heading = make("p", {});
      this.words = Array.from({length: this.trace.lens[0][0].length / 2}, () => {
        const parts = {word: make("span", {}), share: make("span", {}), bar: make("i", {})};
        return {...parts, node: make("div", {class: "word"}, parts.word, parts.share, parts.bar)};
      });
      this.cost = Object.fromEntries(["shape", "FLOPs", "read", "written"].map(name => [name, make("dd", {})]));
      const cost = Object.entries(this.cost).flatMap(([name, value]) => [make("dt", {}, name), value]);
      this.stage.append(
        make("div", {class: "flow"}, group, make("div", {class: "names", "aria-hidden": "true"}, this.names), this.picture,
          make("div", {class: "below"}, make("span", {}, shape(shapes[0].slice(-2), ["q_len", "hidden"])), scale)),
        make("div", {class: "head"}, this.heading, this.words.map(({node}) => node), make("dl", {class: "cost"}, cost)));
      this.steps = steps(names, step => this.set({step}));
      this.controls.append(this.steps.node);
    }

    point(event) {
      const box = this.all.getBoundingClientRect();
      this.set(at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, this.tokens.length, this.rows));
    }

    // Numbers out of range are taken as the nearest there is.
    show(state, trace) {
      const step = within(state.step, this.rows), token = within(state.token, trace.tokens.length - 1);
      const row = Math.min(step, this.rows - 1), part = 100 / this.rows;
      this.tokens.forEach((button, i) => button.setAttribute("aria-pressed", i === token));
      this.names.forEach((name, i) => {
        name.hidden = i !== row && (Math.abs(i - row) < 2 || !(i === 0 || i === this.rows - 1 || (i > 1 && i % 10 === 1)));
        name.classList.toggle("here", i === step);
      });
      this.picture.style.setProperty("--row", row);
      this.ink.style.clipPath = `inset(0 0 ${100 - part * (row + 1)}% 0)`;
      Object.assign(this.row.style, {top: `${part * row}%`, height: `${part}%`, visibility: step > row ? "hidden" : "visible"});
      this.columns.forEach((column, i) => column.classList.toggle("here", i === token));
      this.heading.textContent = `${step < this.rows - 1 ? `The head, if it came after ${trace.names[step]}` : "The head"}: what follows ${trace.tokens[token]}`;
      likeliest(trace, step, token).forEach(([word, share], i) => {
        this.words[i].word.textContent = word;
        this.words[i].share.textContent = `${(100 * share).toFixed(1)}%`;
        this.words[i].bar.style.width = `${100 * share}%`;
      });
      this.steps.show(step);
      this.tell(trace, step, token);
    }

    // What the step is made by and costs, and what stands out in it.
    tell(trace, step, token) {
      const [code, flops, read, written] = trace.steps[step], sizes = trace.shapes[step];
      this.cost.shape.replaceChildren(shape(sizes, step < this.rows ? AXES[sizes.length] : ["batch", "q_len", "vocab"]));
      this.cost.FLOPs.textContent = amount(flops);
      this.cost.read.textContent = amount(read, "B");
      this.cost.written.textContent = amount(written, "B");
      const [word, share] = likeliest(trace, step, token)[0];
      const line = [`${trace.names[step]}: `, make("code", {}, trace.codes[code]), " "];
      if (step >= this.rows) return this.say(...line, `after ${trace.tokens[token]} the likeliest word is ${word}, with ${(100 * share).toFixed(1)}%.`);
      const [size, most, place] = trace.peaks[step][token];
      const alone = Math.abs(most) > 15 * size ? ", beside which all others fade" : "";
      this.say(...line, `${trace.tokens[token]}: the largest of its ${sizes.at(-1)} numbers is ${brief(most)} (feature ${place})${alone}; root mean square ${brief(size)}. The head would say ${word}, ${(100 * share).toFixed(1)}%.`);
    }
  }

  customElements.define("model-xray", ModelXray);
})();
