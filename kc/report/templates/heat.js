// Heatmaps: a measure at a time by a slider, raw beside calibrated, a cell's numbers on demand.
"use strict";

(() => {
  const LEAST = 4;
  const MOST = 22;
  const WIDE = 460;

  const spelled = (value) => (value === null ? "not measured" : value.toFixed(3));

  function element(tag, about = {}, ...inner) {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inner);
    return made;
  }

  /** Draw one matrix; unknown cells stay as the ground. */
  function draw(canvas, values, colours, cell, chosen) {
    canvas.width = cell * values[0].length;
    canvas.height = cell * values.length;
    const context = canvas.getContext("2d");
    values.forEach((row, y) => row.forEach((value, x) => {
      if (value === null) return;
      const at = 3 * Math.max(0, Math.min(255, Math.round(255 * value)));
      context.fillStyle = `rgb(${colours.slice(at, at + 3).join()})`;
      context.fillRect(x * cell, y * cell, cell, cell);
    }));
    if (!chosen) return;
    context.strokeStyle = "#d55e00";
    context.lineWidth = 2;
    context.strokeRect(chosen[1] * cell + 1, chosen[0] * cell + 1, cell - 2, cell - 2);
  }

  function show(place, data) {
    const [high, wide] = [data.rows.length, data.columns.length];
    const cell = Math.max(LEAST, Math.min(MOST, Math.floor(WIDE / Math.max(high, wide))));
    let number = 0;
    let chosen = null;
    const slider = element("input", {
      type: "range", min: 0, max: data.measures.length - 1, step: 1, value: 0, id: `${place.id}-measure`,
    });
    const said = element("output", {});
    said.htmlFor.add(slider.id);
    const label = element("label", { className: "slider", htmlFor: slider.id }, element("span", { textContent: "Measure" }), said);
    const panels = element("div", { className: "heats" });
    const readout = element("p", { className: "small" });
    readout.setAttribute("role", "status");
    const list = element("dl", { className: "cell" });

    function tell(at) {
      if (!at) {
        readout.textContent = "Point at a cell to read it; a click keeps it. Keys: arrows.";
        return;
      }
      const measure = data.measures[number];
      const more = measure.calibrated ? `, calibrated ${spelled(measure.calibrated[at[0]][at[1]])}` : "";
      readout.textContent =
        `${data.titles[0]}, ${data.rows[at[0]]}; ${data.titles[1]}, ${data.columns[at[1]]}: ` +
        `${spelled(measure.raw[at[0]][at[1]])}${more}`;
    }

    function keep(at) {
      chosen = at;
      list.replaceChildren(
        element("dt", { textContent: data.titles[0] }), element("dd", { textContent: data.rows[at[0]] }),
        element("dt", { textContent: data.titles[1] }), element("dd", { textContent: data.columns[at[1]] }),
        ...data.measures.flatMap((measure) => {
          const own = spelled(measure.raw[at[0]][at[1]]);
          const more = measure.calibrated ? `; calibrated ${spelled(measure.calibrated[at[0]][at[1]])}` : "";
          return [element("dt", { textContent: measure.title }), element("dd", { textContent: own + more })];
        }),
      );
      paint();
      tell(at);
    }

    function panel(title, values) {
      const canvas = element("canvas", { tabIndex: 0 });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${title}: ${high} rows, ${wide} columns; arrow keys choose a cell`);
      const at = (event) => {
        const box = canvas.getBoundingClientRect();
        const y = Math.floor(((event.clientY - box.top) / box.height) * high);
        const x = Math.floor(((event.clientX - box.left) / box.width) * wide);
        return [Math.max(0, Math.min(high - 1, y)), Math.max(0, Math.min(wide - 1, x))];
      };
      canvas.addEventListener("pointermove", (event) => tell(at(event)));
      canvas.addEventListener("pointerleave", () => tell(chosen));
      canvas.addEventListener("click", (event) => keep(at(event)));
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        const [y, x] = chosen ?? [0, 0];
        keep(chosen ? [Math.max(0, Math.min(high - 1, y + step[0])), Math.max(0, Math.min(wide - 1, x + step[1]))] : [0, 0]);
      });
      draw(canvas, values, data.colours, cell, chosen);
      return element("figure", {}, element("figcaption", { textContent: title }), canvas);
    }

    /** Draw again; the canvas with the focus keeps it. */
    function paint() {
      const measure = data.measures[number];
      said.textContent = measure.title;
      slider.setAttribute("aria-valuetext", measure.title);
      const focused = [...panels.querySelectorAll("canvas")].indexOf(document.activeElement);
      panels.replaceChildren(
        panel("as measured", measure.raw),
        ...(measure.calibrated ? [panel("calibrated: 0 as the null, 1 equal", measure.calibrated)] : []),
      );
      panels.querySelectorAll("canvas")[focused]?.focus();
    }

    slider.addEventListener("input", () => {
      number = Number(slider.value);
      paint();
      tell(chosen);
    });
    const axes = `Rows: ${data.titles[0]}, first above. Columns: ${data.titles[1]}, first at the left. Pale: 0, dark: 1.`;
    place.replaceChildren(
      ...(data.measures.length > 1 ? [label, slider] : []), panels,
      element("p", { className: "small", textContent: axes }), readout, list,
    );
    paint();
    tell(null);
    place.setAttribute("aria-busy", "false");
  }

  for (const place of document.querySelectorAll("[data-heat]")) {
    maps.need(place.dataset.heat).then(
      (data) => show(place, data),
      (error) => { place.textContent = error.message; },
    );
  }
})();
