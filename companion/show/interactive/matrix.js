// A part of figures: a grid of numbers.
(() => {
  const {parts} = customElements.get("shape-figure");
  if (parts.Matrix) return;
  const {make, brief, ink, shape} = parts;

  // A grid of numbers, one tab stop, arrows from cell to cell. `picks(i, j)` hears where the pointer
  // or the focus is, `takes(i, j)` that a cell is wanted by Enter.
  class Matrix {
    constructor({name, rows, columns, axes = [], kind = "", picks = () => {}, takes = () => {}}) {
      Object.assign(this, {name, rows, columns, picks, takes});
      this.cells = Array.from({length: rows}, (_, i) => Array.from({length: columns}, (_, j) => this.cell(i, j)));
      const style = `grid-template-columns: repeat(${columns}, auto); --rows: ${ink(axes[0])}; --columns: ${ink(axes[1])}`;
      this.grid = make("div", {role: "grid", "aria-label": `${name} (${rows}, ${columns})`, style},
        this.cells.map(row => make("div", {role: "row"}, row)));
      this.heading = make("span", {}, name);
      const above = make("span", {class: "name"}, this.heading, " ", shape([rows, columns], axes));
      this.node = make("div", {class: `matrix ${kind}`}, above, this.grid);
      this.cells[0][0].tabIndex = 0;
    }

    cell(i, j) {
      return make("div", {
        role: "gridcell", tabindex: -1,
        onpointerenter: event => event.pointerType === "mouse" && this.picks(i, j),
        onpointerdown: () => this.focus(i, j), onfocus: () => this.picks(i, j), onkeydown: event => this.key(event, i, j),
      });
    }

    key(event, i, j) {
      const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -j], End: [0, this.columns - 1 - j]};
      if (["Enter", "F2"].includes(event.key)) this.takes(i, j);
      if (!moves[event.key]) return;
      event.preventDefault();
      const [down, right] = moves[event.key];
      this.focus(Math.min(Math.max(i + down, 0), this.rows - 1), Math.min(Math.max(j + right, 0), this.columns - 1));
    }

    focus(i, j) {
      for (const cell of this.cells.flat()) cell.tabIndex = -1;
      this.cells[i][j].tabIndex = 0;
      this.cells[i][j].focus();
    }

    rename(name) {
      this.heading.textContent = name;
      this.grid.setAttribute("aria-label", `${name} (${this.rows}, ${this.columns})`);
    }

    // Values with their signs as fills, beside the largest of the figure; `hides(i, j)` strokes a cell out.
    show(values, {largest = 1, hides = () => false, write = brief} = {}) {
      this.cells.forEach((row, i) => row.forEach((cell, j) => {
        const value = values[i][j], hidden = hides(i, j);
        cell.textContent = write(value);
        cell.setAttribute("aria-label", `row ${i}, column ${j}: ${hidden ? "masked" : write(value)}`);
        cell.classList.toggle("negative", value < 0 && !hidden);
        cell.classList.toggle("masked", hidden);
        cell.style.setProperty("--strength", Number.isFinite(value) ? Math.min(Math.abs(value) / (largest || 1), 1) : 1);
      }));
    }

    // Frames around the cells for which `lit` and `picked` hold.
    mark(lit = () => false, picked = () => false) {
      this.cells.forEach((row, i) => row.forEach((cell, j) => {
        cell.classList.toggle("lit", !!lit(i, j));
        cell.classList.toggle("picked", !!picked(i, j));
        cell.setAttribute("aria-selected", !!picked(i, j));
      }));
    }
  }

  Object.assign(parts, {Matrix});
})();
