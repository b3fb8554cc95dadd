// Query heads in the groups that share a key/value head, from one head for all (MQA) to one for each (MHA).
(() => {
  if (customElements.get("gqa-slider")) return;
  const Figure = customElements.get("shape-figure");
  const {make, amount, chip, steps, number, whole, meter, choice} = Figure.parts;

  const LARGEST = 2 ** 53 - 1;
  const exactly = count => count.toLocaleString("en");

  // Which key/value head each query head reads, and the bytes of a token; refused as LlamaConfig refuses it.
  function compute({heads, kept}, kvHeads, order) {
    if (kvHeads < 1) throw new Error(`num_key_value_heads is ${kvHeads}: it must be a whole number greater than 0`);
    if (heads % kvHeads) {
      throw new Error(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}: each key/value head serves an equal group of query heads`);
    }
    const group = heads / kvHeads;
    const reads = Array.from({length: heads}, (_, head) => order === "tiled" ? head % kvHeads : Math.floor(head / group));
    return {group, reads, bytes: kept[kvHeads], name: kvHeads === 1 ? "MQA" : group === 1 ? "MHA" : "GQA"};
  }

  class GqaSlider extends Figure {
    static compute = compute;
    static css = `.heads { flex: 1 1 100%; display: flex; flex-direction: column; gap: 0.5rem; } .title { font-size: 15px; }
      .groups { display: flex; flex-wrap: wrap; gap: 0.75rem 0.6rem; align-items: flex-end; }
      .group { display: flex; flex-direction: column; align-items: stretch; font-size: 12px; text-align: center; }
      .queries { display: flex; flex-wrap: wrap; justify-content: center; gap: 4px; padding-bottom: 5px; border-bottom: 3px solid var(--look-h); }
      .query { width: 28px; height: 28px; display: grid; place-items: center; box-sizing: border-box; border: 1px solid var(--look-edge); border-radius: 6px;
        background: var(--look-activations); }
      .stem { width: 3px; height: 10px; margin: 0 auto; background: var(--look-h); }
      .kv { box-sizing: border-box; min-width: 36px; padding: 6px 4px; border: 1px solid var(--look-edge); line-height: 1;
        background: repeating-linear-gradient(-45deg, transparent 0 6px, color-mix(in srgb, var(--look-edge) 45%, transparent) 6px 7px) var(--look-cached); }
      .kv span { padding: 1px 4px; background: var(--look-cached); white-space: nowrap; }
      .meters { flex: 1 1 100%; display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.5rem 1.25rem; }
      .steps { flex: 1 1 100%; } .controls input[type=text] { width: 4em; }`;

    start({models}) {
      const [model, {kv_heads}] = Object.entries(models)[0];
      return {model, kvHeads: kv_heads, order: "neighbors"};
    }

    build({models, tokens}) {
      this.heading = make("div", {class: "title"});
      this.groups = make("div", {class: "groups", role: "img"});
      this.meters = [meter("a token"), meter(`${exactly(tokens)} tokens`)];
      this.stage.append(make("div", {class: "heads"}, this.heading, this.groups), make("div", {class: "meters"}, this.meters.map(each => each.node)));
      const names = Object.fromEntries(Object.keys(models).map(name => [name, name]));
      this.model = choice("model", names, model => this.set({model, kvHeads: models[model].kv_heads}));
      this.steps = steps([""], step => this.set({kvHeads: this.divisors()[step]}));
      this.field = number("KV heads", text => whole(text, -LARGEST, LARGEST), kvHeads => this.edit(kvHeads), why => this.refuse(why));
      this.order = choice("repeat", {neighbors: "0 0 1 1", tiled: "0 1 0 1 (wrong)"}, order => this.set({order}));
      this.controls.append(this.steps.node, this.field.node, this.model.node, this.order.node);
    }

    divisors() {
      return Object.keys(this.trace.models[this.state.model].kept).map(Number);
    }

    edit(kvHeads) {
      compute(this.trace.models[this.state.model], kvHeads, this.state.order);
      this.set({kvHeads});
    }

    show({model, kvHeads, order}, {models, tokens}) {
      const sizes = models[model], made = this.made = compute(sizes, kvHeads, order), divisors = this.divisors();
      const named = count => `${count} (${compute(sizes, count, order).name})`;
      this.steps.show(divisors.indexOf(kvHeads), divisors.map(named));
      this.field.show(kvHeads);
      this.model.show(model);
      this.order.show(order);
      this.heading.replaceChildren("query: ", chip(sizes.heads, "q_heads"), " heads; key and value: ", chip(kvHeads, "kv_heads"), kvHeads > 1 ? " heads" : " head");
      this.draw(kvHeads, made.reads);
      const largest = sizes.kept[sizes.heads];
      this.meters[0].show(made.bytes / largest, `${exactly(made.bytes)} bytes`);
      this.meters[1].show(made.bytes / largest, amount(tokens * made.bytes, "B"));
      this.say(this.sentence(sizes, kvHeads, order, made));
    }

    // A box for each key/value head, and above it the query heads that read it.
    draw(kvHeads, reads) {
      const members = Array.from({length: kvHeads}, (_, kv) => reads.flatMap((read, head) => read === kv ? [head] : []));
      this.groups.replaceChildren(...members.map((heads, kv) => make("div", {class: "group"},
        make("div", {class: "queries"}, heads.map(head => make("div", {class: "query"}, String(head)))),
        make("div", {class: "stem"}), make("div", {class: "kv"}, make("span", {}, `KV ${kv}`)))));
      this.groups.setAttribute("aria-label", members.map((heads, kv) => `KV head ${kv} serves query heads ${heads.join(", ")}`).join("; "));
    }

    sentence({layers, heads, head_dim, kv_heads}, kvHeads, order, {group, bytes, name}) {
      const rule = order === "tiled"
        ? group > 1 && kvHeads > 1 ? `the copies are tiled: query head h reads KV head h % ${kvHeads}. The shape is right and the heads are not those that were trained together` : "here both orders are the same"
        : group > 1 ? `query head h reads KV head h // ${group}` : "each query head has a KV head of its own";
      const own = kvHeads === kv_heads && order === "neighbors" ? ", as the model was trained" : "";
      const share = group > 1 ? `, 1/${group} of what ${heads} KV heads take` : "";
      return `${name}, n_rep ${group}${own}: ${rule}. 2 · ${layers} layers · ${kvHeads} KV head${kvHeads > 1 ? "s" : ""} · ${head_dim} · 2 bytes (bfloat16) = ${exactly(bytes)} bytes a token${share}.`;
    }
  }

  customElements.define("gqa-slider", GqaSlider);
})();
