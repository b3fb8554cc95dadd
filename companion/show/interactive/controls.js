// Parts of figures: what a reader steps, types and chooses with.
(() => {
  const {parts} = customElements.get("shape-figure");
  if (parts.steps) return;
  const {make} = parts;

  // Steps instead of a film: back, a slider, on. `goes(step)` hears each; `show` takes other names where they change.
  function steps(names, goes) {
    const slider = make("input", {type: "range", min: 0, max: names.length - 1, value: 0, "aria-label": "step"});
    const said = make("output", {"aria-hidden": "true"});
    const back = make("button", {type: "button", "aria-label": "step back", onclick: () => to(+slider.value - 1)}, "‹");
    const on = make("button", {type: "button", "aria-label": "step on", onclick: () => to(+slider.value + 1)}, "›");
    slider.addEventListener("input", () => to(+slider.value));
    function show(step, others = names) {
      names = others;
      slider.max = names.length - 1;
      slider.value = step;
      slider.setAttribute("aria-valuetext", names[step]);
      said.textContent = `${step + 1}/${names.length} ${names[step]}`;
      back.setAttribute("aria-disabled", step === 0);  // and the focus stays
      on.setAttribute("aria-disabled", step === names.length - 1);
    }
    function to(step) {
      goes(Math.min(Math.max(step, 0), names.length - 1));
    }
    return {node: make("div", {class: "steps"}, back, slider, on, said), show};
  }

  // A number that is typed. `reads(text)` gives a number, or throws an Error that says why not, which `refuses` hears.
  function number(label, reads, goes, refuses) {
    const input = make("input", {type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false"});
    input.addEventListener("input", () => {
      try {
        goes(reads(input.value));
        input.removeAttribute("aria-invalid");
      } catch (error) {
        input.setAttribute("aria-invalid", "true");
        refuses(error.message);
      }
    });
    const words = make("span", {}, label);
    const show = (value, named = label) => {
      words.textContent = named;
      if (input.getRootNode().activeElement === input) return;
      input.value = value;
      input.removeAttribute("aria-invalid");
    };
    return {node: make("label", {}, words, input), input, show};
  }

  // What Python's float() reads, and float32 holds.
  function float32(text) {
    const trimmed = text.trim().replace("−", "-");
    if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed)) throw new Error(`ValueError: could not convert string to float: '${trimmed.slice(0, 24)}'`);
    const value = Math.fround(Number(trimmed));
    if (!Number.isFinite(value)) throw new Error(`${trimmed.slice(0, 24)} does not fit in float32, whose largest number is 3.4e38: it would be inf`);
    return value;
  }

  // What Python's int() reads, between two bounds.
  function whole(text, least, most) {
    const trimmed = text.trim().replace("−", "-");
    if (!/^[-+]?\d+(_\d+)*$/.test(trimmed)) throw new Error(`ValueError: invalid literal for int() with base 10: '${trimmed.slice(0, 24)}'`);
    const value = Number(trimmed.replaceAll("_", ""));
    if (!(value >= least && value <= most)) throw new Error(`${trimmed.slice(0, 24)} is out of range: from ${least} to ${most.toLocaleString("en")}`);
    return value || 0;
  }

  // A whole number, typed between two bounds, or by a slider over `stops`.
  function quantity(label, {least, most, stops}, goes, refuses) {
    const typed = number(`${label} =`, text => whole(text, least, most), goes, why => refuses(`${label}: ${why}`));
    const slider = make("input", {type: "range", min: 0, max: stops.length - 1, "aria-label": label, oninput: () => goes(stops[slider.value])});
    const show = value => {
      typed.show(value);
      slider.value = Math.max(stops.findLastIndex(stop => stop <= value), 0);
      slider.setAttribute("aria-valuetext", value);
    };
    return {node: make("div", {class: "quantity"}, typed.node, slider), show};
  }

  function toggle(label, goes) {
    const input = make("input", {type: "checkbox", onchange: () => goes(input.checked)});
    return {node: make("label", {}, input, label), show: on => { input.checked = on; }};
  }

  // An amount beside the largest of its kind: words, the amount, a bar below. `show(part, said)` has a part of 1.
  function meter(words) {
    const bar = make("div", {class: "bar"}), said = make("span");
    const show = (part, amount) => {
      bar.style.setProperty("--part", part);
      said.textContent = amount;
    };
    return {node: make("div", {class: "meter"}, make("span", {}, words), said, make("div", {class: "track"}, bar)), show};
  }

  let groups = 0;
  function choice(label, options, goes) {
    const name = `choice-${++groups}`;
    const inputs = Object.keys(options).map(value => make("input", {type: "radio", name, value, onchange: () => goes(value)}));
    const labels = Object.values(options).map((words, i) => make("label", {}, inputs[i], words));
    const show = value => inputs.forEach(input => { input.checked = input.value === String(value); });
    return {node: make("fieldset", {}, make("legend", {}, label), labels), show};
  }

  // One of many, named: {value: words}. Options can be switched off by `input.options`.
  function select(label, options, goes) {
    const named = Object.entries(options).map(([value, words]) => make("option", {value}, String(words)));
    const input = make("select", {onchange: () => goes(input.value)}, named);
    return {node: make("label", {}, label, input), input, show: value => { input.value = value; }};
  }

  Object.assign(parts, {steps, number, quantity, whole, float32, toggle, choice, select, meter});
})();
