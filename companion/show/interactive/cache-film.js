// Prefill and decode as steps: the slots of the cache, the scores that a call computes, and what it costs.
(() => {
  if (customElements.get("cache-film")) return;
  const Figure = customElements.get("shape-figure");
  const {make, amount, shape, steps, number, whole, meter} = Figure.parts;

  const LARGEST = 2 ** 53 - 1;  // what JavaScript counts exactly; all below is refused by what torch and the package refuse
  const exactly = count => count.toLocaleString("en");
  const range = ([first, ...rest]) => rest.length ? `${first}–${rest.at(-1)}` : `${first}`;

  // Why torch or the package would not run it, in their words.
  function check(prompt, chunk, decodes) {
    if (prompt < 0) throw new Error(`Trying to create tensor with negative dimension ${prompt}: [1, ${prompt}]`);
    if (!prompt) throw new Error("input_ids is (1, 0): every prompt needs at least one token");
    if (chunk < 0) throw new Error(`split expects split_size be non-negative, but got split_size=${chunk}`);
    if (!chunk) throw new Error(`split_size can only be 0 if dimension size is 0, but got dimension size of ${prompt}`);
    if (decodes < 0) throw new Error(`Trying to create tensor with negative dimension ${decodes}: [1, ${decodes}]`);
  }

  // Each call: its tokens' positions, lengths, bytes and FLOPs, with the cache and without.
  function compute({prompt, chunk, decodes}, {room, nbytes, flops}) {
    check(prompt, chunk, decodes);
    const cost = (rows, keys) => flops.token * rows + flops.score * rows * keys;
    const calls = [];
    for (let past = 0; past < prompt + decodes;) {
      const decoding = past >= prompt;
      const q = decoding ? 1 : Math.min(chunk, prompt - past), k = past + q;
      if (k > room) throw new Error(`the cache holds ${past} of at most ${room} tokens and ${q} more do not fit: make it with max_length ${k} or more`);
      const positions = Array.from({length: q}, (_, i) => past + i);
      const before = calls.at(-1) || {total: 0, totalWithout: 0};
      const [costs, without] = [cost(q, k), cost(k, k)];
      const name = decoding ? "decode" : chunk < prompt ? "chunk" : "prefill";
      calls.push({
        name, positions, past, length: k, scores: [q, k], bytes: k * nbytes / room, flops: costs, without,
        total: before.total + costs, totalWithout: before.totalWithout + without,
      });
      past = k;
    }
    return calls;
  }

  // What became of the score of query i and key j, when `step` calls have run.
  function fate(calls, step, i, j, keeps) {
    const now = calls[step - 1];
    if (!now) return "";
    const first = keeps ? now.past : 0;
    if (i >= now.length || (!keeps && j >= now.length)) return "";
    if (i >= first) return j >= now.length ? "" : j > i ? "masked" : "now";
    const call = calls.find(call => i < call.length);
    return j >= call.length ? "never" : j > i ? "masked" : "done";
  }

  class CacheFilm extends Figure {
    static compute = compute;
    static fate = fate;
    static css = `.panel { flex: 1 1 9rem; max-width: 22rem; min-width: 0; display: flex; flex-direction: column; gap: 0.25rem; font-size: 14px; }
      .panel > :first-child { font-size: 15px; } .panel b { display: block; }
      .places { display: grid; padding: 0 1px 1px 0; grid-template-columns: 20px repeat(var(--room), minmax(0, 1fr)); font-size: 12px; text-align: center; }
      .slot, .score { box-sizing: border-box; border: 1px solid var(--look-rule); margin: 0 -1px -1px 0; }
      .slot { height: 26px; border-style: dashed; border-color: var(--look-edge); } .none .slot { visibility: hidden; }
      .cached { border-style: solid; background: repeating-linear-gradient(-45deg, var(--look-cached) 0 4px, var(--look-edge) 4px 5px); }
      .new { box-shadow: inset 0 0 0 2px var(--look-text); }
      .score { aspect-ratio: 1; } .row { display: grid; place-items: center end; padding-inline-end: 6px; line-height: 1; }
      .first { border-inline-start: 3px solid var(--look-q); } .top { border-top: 3px solid var(--look-k); }
      .now { background: color-mix(in srgb, var(--look-text) 72%, var(--look-activations)); }
      .done { background: color-mix(in srgb, var(--look-text) 20%, var(--look-activations)); }
      .masked { background: linear-gradient(to top left, transparent 46%, var(--look-edge) 47% 53%, transparent 54%); }
      .never { background: radial-gradient(circle, var(--look-edge) 0 1.5px, transparent 2px); }
      .steps { flex: 1 1 100%; } .controls input[type=text] { width: 4em; }
      .legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; font-size: 13px; flex: 1 1 100%; }
      .legend span { display: inline-flex; gap: 0.4rem; align-items: center; } .legend i { width: 18px; height: 18px; flex: none; }
      @media (max-width: 480px) { .stage { gap: 0.75rem; } .row, .column { visibility: hidden; } .third { visibility: visible; } }`;

    start(trace) {
      return {...trace.start, step: 1};
    }

    build({room}) {
      this.panels = [this.panel("with the cache", true, room), this.panel("without a cache", false, room)];
      this.stage.append(...this.panels.map(panel => panel.node), this.legend());
      this.steps = steps([""], step => this.set({step}));
      const field = (label, name) => number(label, text => whole(text, -LARGEST, LARGEST), value => this.edit(name, value), why => this.refuse(why));
      this.fields = {prompt: field("prompt tokens", "prompt"), chunk: field("chunk size", "chunk"), decodes: field("decode calls", "decodes")};
      const again = make("button", {type: "button", onclick: () => this.set(this.start(this.trace))}, "start again");
      this.controls.append(this.steps.node, ...Object.values(this.fields).map(each => each.node), again);
    }

    // Slots and scores of one way to run, drawn once. On a phone every third place has its number.
    panel(title, keeps, room) {
      const count = Array.from({length: room}, (_, i) => i);
      const place = (i, kind) => make("div", {class: i % 3 ? kind : `${kind} third`}, String(i));
      const slots = count.map(() => make("div", {class: "slot"}));
      const scores = count.map(i => count.map(j => make("div", {class: this.place(i, j)})));
      const rows = scores.flatMap((row, i) => [place(i, "row"), ...row]);
      const columns = count.map(j => place(j, "column"));
      const drawing = make("div", {role: "img", class: keeps ? "places" : "places none", style: `--room: ${room}`},
        make("div"), slots, make("div"), columns, rows);
      const [sizes, held] = [make("span"), make("div")], meters = ["this call", "so far"].map(words => meter(words));
      const node = make("div", {class: "panel"}, make("div", {}, make("b", {}, title), sizes), held, drawing, ...meters.map(meter => meter.node));
      return {node, keeps, slots, scores, drawing, sizes, held, meters};
    }

    place(i, j) {
      return `score ${j ? "" : "first"} ${i ? "" : "top"}`;
    }

    legend() {
      const words = {
        "score now": "computed by this call", "score masked": "computed, and masked", "score done": "by an earlier call",
        "score never": "never computed", "slot cached": "a token's keys and values", "slot cached new": "new", "slot": "room",
      };
      return make("div", {class: "legend"}, Object.entries(words).map(([kind, meaning]) => make("span", {}, make("i", {class: kind}), meaning)));
    }

    // A number that was typed: the calls are counted first, so that what is refused changes nothing.
    edit(name, value) {
      const change = {...this.state, [name]: value};
      const calls = compute(change, this.trace);
      this.set({[name]: value, step: Math.min(this.state.step, calls.length)});
    }

    show(state, trace) {
      const calls = this.calls = compute(state, trace), now = calls[state.step - 1];
      this.steps.show(state.step, ["empty", ...calls.map(call => `${call.name} ${range(call.positions)}`)]);
      for (const [name, field] of Object.entries(this.fields)) field.show(state[name]);
      for (const panel of this.panels) this.draw(panel, state.step, calls, now);
      this.say(now ? this.sentence(now, trace) : this.before(trace));
    }

    draw({keeps, slots, scores, drawing, sizes, held, meters}, step, calls, now) {
      scores.forEach((row, i) => row.forEach((cell, j) => {
        cell.className = `${this.place(i, j)} ${fate(calls, step, i, j, keeps)}`;
      }));
      slots.forEach((slot, j) => {
        slot.classList.toggle("cached", keeps && !!now && j < now.length);
        slot.classList.toggle("new", keeps && !!now && j >= now.past && j < now.length);
      });
      const made = now ? (keeps ? now.scores : [now.length, now.length]) : [0, 0];
      held.textContent = keeps ? `cache: ${now?.length ?? 0} of ${slots.length} slots` : "nothing is kept";
      sizes.replaceChildren("scores ", shape(made, ["q_len", "kv_len"]));
      drawing.setAttribute("aria-label", `Scores ${keeps ? "with" : "without"} a cache: this call computes ${made[0]} rows of ${made[1]}`);
      const [each, sum] = keeps ? ["flops", "total"] : ["without", "totalWithout"];
      [each, sum].forEach((kind, i) => meters[i].show((now?.[kind] ?? 0) / calls.at(-1).totalWithout, amount(now?.[kind] ?? 0, "FLOPs")));
    }

    // A token's bytes as the product they are.
    product({sizes: {layers, kv_heads, head_dim, bytes}}) {
      return `2 · ${layers} layers · ${kv_heads} KV heads · ${head_dim} · ${bytes} bytes`;
    }

    before(trace) {
      return `No call yet: room for ${trace.room} tokens, zeros. ${this.product(trace)} = ${exactly(trace.nbytes / trace.room)} bytes a token, ${exactly(trace.nbytes)} in all`;
    }

    sentence(now, {room, nbytes}) {
      const [q, k] = now.scores, hidden = q * (q - 1) / 2;
      const rows = q === 1 ? "one query meets" : `${q} queries meet`;
      const cells = `${q} · ${k} = ${q * k} scores, ${hidden ? `${hidden} of them masked` : "none masked"}`;
      const held = `The cache holds ${k} of ${room} tokens, ${exactly(now.bytes)} of ${exactly(nbytes)} bytes`;
      const again = now.past ? `Without a cache ${k} tokens run, ${k} · ${k} = ${k * k} scores: ${+(now.without / now.flops).toFixed(1)} times the FLOPs` : "Nothing was cached before it: both ways compute the same";
      return `${now.name}, position${q > 1 ? "s" : ""} ${range(now.positions)}: ${rows} ${k} key${k > 1 ? "s" : ""} (${now.past} cached, ${q} new), ${cells}, in each head. ${held}. ${again}.`;
    }
  }

  customElements.define("cache-film", CacheFilm);
})();
