// The feature viewer: `state` holds the reader's choices and is copied to the address.
"use strict";

(() => {
  const THUMBNAIL = 32; // px
  const at = (id) => document.getElementById(id);
  const state = { view: "", filter: null, image: null, mix: 50, opacity: 65, filters: "most", images: "most" };
  const usual = { ...state };
  let index, colours, view, shown; // shown: the filter's row, parts and colour limit

  // --- small elements -------------------------------------------------------------------------

  function element(tag, attributes = {}, ...content) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...content);
    return made;
  }

  /** A part's name as the papers write it. */
  function label(name) {
    const order = name === "xdelta" ? "Δ" : `(${name.slice(1)})`;
    return [document.createTextNode("x"), element("sup", {}, order)];
  }

  const spoken = (name) => (name === "xdelta" ? "x^Δ" : `x^(${name.slice(1)})`);
  const number = (value) =>
    Number.isFinite(value) ? value.toPrecision(3).replace(/\.?0+(e|$)/, "$1").replace("-", "−") : "–";
  const share = (value) => value.toFixed(value < 0.995 ? 3 : 2);

  /** A bar of the parts' shares of their sum. */
  function bar(target, shares) {
    const sum = shares.reduce((total, value) => total + value, 0);
    target.replaceChildren(...shares.map((value, part) => {
      const box = element("i", { "data-part": partKind(part) });
      box.style.width = `${(100 * value) / sum}%`;
      return box;
    }));
  }

  const partKind = (part) => (part === view.components.length - 1 ? "delta" : Math.min(part, 3));

  /** A picture in grey and a map over it. */
  function overlay(size) {
    const canvas = element("canvas", { width: size, height: size });
    return [element("div", { class: "picture" }), canvas];
  }

  function showPicture(box, image) {
    const { file, columns, lines } = view.sprite;
    const picture = box.querySelector(".picture");
    picture.style.backgroundImage = `url("${maps.url(file)}")`;
    picture.style.backgroundSize = `${100 * columns}% ${100 * lines}%`;
    const x = columns > 1 ? ((image % columns) * 100) / (columns - 1) : 0;
    const y = lines > 1 ? (Math.floor(image / columns) * 100) / (lines - 1) : 0;
    picture.style.backgroundPosition = `${x}% ${y}%`;
  }

  const nameOf = (image) => {
    const { id, class: kind } = view.images[image];
    return kind && !id.startsWith(kind) ? `${id} (${kind})` : id;
  };

  // --- the address --------------------------------------------------------------------------

  const percent = (text) => Math.max(0, Math.min(100, Number(text)));
  const oneOf = (list) => (text) => [...at(list).options].find(({ value }) => value === text)?.value;

  /** What each word of the address may be; of a view, filter or image that is not there, the first is shown. */
  const readers = {
    view: String, filter: Number, image: Number, mix: percent, opacity: percent,
    filters: oneOf("filter-sort"), images: oneOf("image-sort"),
  };

  function read() {
    const given = new URLSearchParams(location.hash.split("?")[1] ?? "");
    for (const [name, reader] of Object.entries(readers)) {
      const value = given.get(name)?.trim();
      const wanted = value ? reader(value) : undefined;
      state[name] = wanted === undefined || Number.isNaN(wanted) ? usual[name] : wanted;
    }
  }

  function write() {
    const said = new URLSearchParams({ view: state.view, filter: state.filter, image: state.image });
    for (const name of ["mix", "opacity", "filters", "images"])
      if (state[name] !== usual[name]) said.set(name, state[name]);
    history.replaceState(null, "", `#viewer?${said}`);
  }

  // --- choices ------------------------------------------------------------------------------

  function fillChoices() {
    const entry = index.views.find(({ name }) => name === state.view);
    const pairs = [...new Set(index.views.map(({ pair }) => pair))];
    at("pair").replaceChildren(...pairs.map((pair) => new Option(pair, pair, false, pair === entry.pair)));
    const layers = index.views.filter(({ pair }) => pair === entry.pair);
    at("layer").replaceChildren(...layers.map(({ name, layer, xdelta }) =>
      new Option(`${layer}  (x^Δ ${share(xdelta)})`, name, false, name === state.view)));
  }

  function ranked(values, order) {
    const places = values.map((_, place) => place);
    const sign = { most: -1, least: 1 }[order];
    return sign ? places.sort((a, b) => sign * (values[a] - values[b]) || a - b) : places;
  }

  const filterOrder = () =>
    state.filters === "number"
      ? view.filters.map((_, place) => place).sort((a, b) => view.filters[a].channel - view.filters[b].channel)
      : ranked(view.filters.map(({ shares }) => shares.at(-1)), state.filters);
  const imageOrder = () => ranked(shown.row.images, state.images);

  function fillFilters() {
    at("filter-sort").value = state.filters;
    at("filters").replaceChildren(...filterOrder().map((place) => {
      const { channel, shares } = view.filters[place];
      const said = `filter ${channel}, x^Δ ${share(shares.at(-1))}`;
      const strip = element("span", { class: "parts", "aria-hidden": "true" });
      bar(strip, shares);
      return element(
        "div", { role: "option", id: `filter-${channel}`, "data-value": channel, "aria-label": said },
        element("b", {}, String(channel)), strip, element("span", {}, share(shares.at(-1))));
    }));
    const left = view.channels - view.weak - view.filters.length;
    const weak = view.weak ? ` ${view.weak} that hardly vary are left out.` : "";
    const ends = left ? " Those with the largest and the smallest shares." : "";
    at("filters-said").textContent = `${view.filters.length} of ${view.channels}.${ends}${weak} Right: share of x^Δ.`;
  }

  function fillLayer() {
    const names = view.components;
    const shares = names.map((name) => view.shares[name]);
    bar(at("layer-bar"), shares);
    const legend = names.flatMap((name, part) => [
      element("i", { "data-part": partKind(part) }), ...label(name), ` ${share(shares[part])}`]);
    at("layer-shares").replaceChildren(
      "Shares of the layer's variance: ", ...legend, element("i"), `cross ${number(view.shares.cross)}`,
      ` (${view.counted} test images)`);
    at("about").textContent = view.about;
    const panels = [["image"], ["x*"], ...names.map(label)].map((title, place) => {
      const box = element("div", { class: "overlay", role: "img" }, ...overlay(96));
      if (place === 0) box.classList.add("plain");
      return element("figure", {}, element("figcaption", {}, ...title), box, element("p", {}));
    });
    at("panels").replaceChildren(...panels);
    at("images").replaceChildren(...view.images.map((_, image) =>
      element("div", { role: "option", id: `image-${image}`, "data-value": image },
        element("div", { class: "overlay" }, ...overlay(THUMBNAIL)), element("span"))));
    for (const box of at("images").children) showPicture(box, Number(box.dataset.value));
  }

  // --- drawing ------------------------------------------------------------------------------

  /** Weights of the parts at the slider's position: from the middle on, one side fades. */
  function weights() {
    const kept = Math.min(1, (2 * (100 - state.mix)) / 100);
    const missing = Math.min(1, (2 * state.mix) / 100);
    return view.components.map((name) => (name === "xdelta" ? missing : kept));
  }

  function mixSaid() {
    if (state.mix === 0) return "g(x)";
    if (state.mix === 50) return "x*";
    if (state.mix === 100) return "x^Δ";
    const part = Math.round(200 * Math.min(state.mix, 100 - state.mix)) / 100;
    return state.mix < 50 ? `g(x) + ${number(part / 100)} x^Δ` : `${number(part / 100)} g(x) + x^Δ`;
  }

  const values = (given, image) => {
    const size = view.map[0] * view.map[1];
    return maps.blend(shown.parts, given, image * size, (image + 1) * size);
  };
  const draw = (box, given, image) =>
    maps.paint(box.querySelector("canvas"), values(given, image), view.map, shown.limit, colours);

  function drawStage() {
    const given = weights();
    showPicture(at("stage"), state.image);
    draw(at("stage"), given, state.image);
    at("stage").setAttribute("aria-label", `${mixSaid()} of filter ${state.filter} on image ${nameOf(state.image)}`);
    at("mix-said").textContent = mixSaid();
    at("mix").setAttribute("aria-valuetext", mixSaid());
    for (const box of at("images").children) draw(box, given, Number(box.dataset.value));
  }

  function drawPanels() {
    const all = view.components.map(() => 1);
    [...at("panels").children].forEach((figure, place) => {
      const box = figure.querySelector(".overlay");
      showPicture(box, state.image);
      const name = place === 0 ? "image" : place === 1 ? "x*" : spoken(view.components[place - 2]);
      box.setAttribute("aria-label", place === 0 ? `image ${nameOf(state.image)}` : `${name} of filter ${state.filter}`);
      if (place > 0) draw(box, place === 1 ? all : all.map((_, part) => Number(part === place - 2)), state.image);
      const said = place < 2 ? ["", `Var ${number(shown.row.variance)}`][place] : share(shown.row.shares[place - 2]);
      figure.querySelector("p").textContent = said;
    });
    at("scale-low").textContent = number(-shown.limit);
    at("scale-high").textContent = number(shown.limit);
  }

  function drawScale() {
    const ramp = Float32Array.from({ length: 256 }, (_, level) => (level - 127.5) / 127.5);
    maps.paint(at("scale"), ramp, [1, 256], 1, colours);
    at("scale").setAttribute("aria-label", "colour scale: blue below 0, red above");
  }

  function orderImages() {
    at("image-sort").value = state.images;
    for (const image of imageOrder()) {
      const box = at(`image-${image}`);
      const said = share(shown.row.images[image]);
      box.lastChild.textContent = said;
      box.setAttribute("aria-label", `${nameOf(image)}, x^Δ ${said}`);
      box.title = `${nameOf(image)}: x^Δ ${said}`;
      at("images").append(box);
    }
  }

  function mark(list, id) {
    for (const option of list.children) option.setAttribute("aria-selected", String(option.id === id));
    list.setAttribute("aria-activedescendant", id);
    const option = at(id);
    if (option.offsetTop < list.scrollTop) list.scrollTop = option.offsetTop;
    const below = option.offsetTop + option.offsetHeight - list.clientHeight;
    if (below > list.scrollTop) list.scrollTop = below;
  }

  // --- from one state to the next -----------------------------------------------------------

  async function load() {
    at("viewer").setAttribute("aria-busy", "true");
    if (!index.views.some(({ name }) => name === state.view)) state.view = index.views[0].name;
    const wanted = state.view;
    const loaded = await maps.need(wanted);
    if (wanted !== state.view) return;
    if (view !== loaded) {
      view = loaded;
      fillLayer();
    }
    fillChoices();
    fillFilters();
    await loadFilter();
  }

  async function loadFilter() {
    at("viewer").setAttribute("aria-busy", "true");
    let place = view.filters.findIndex(({ channel }) => channel === state.filter);
    if (place < 0) place = filterOrder()[0];
    const row = view.filters[place];
    state.filter = row.channel;
    const { keys, filters: per } = view.scripts;
    const key = keys[Math.floor(place / per)];
    const block = await blockOf(key);
    if (state.filter !== row.channel) return;
    const size = view.images.length * view.map[0] * view.map[1];
    const parts = maps.parts(block, place % per, row.largest, size);
    const whole = maps.blend(parts, parts.map(() => 1), 0, size);
    const limit = [whole, ...parts].reduce(
      (most, each) => each.reduce((known, value) => Math.max(known, Math.abs(value)), most), 0);
    shown = { row, parts, limit };
    if (!view.images[state.image]) state.image = imageOrder()[0];
    orderImages();
    mark(at("filters"), `filter-${state.filter}`);
    showImage();
    drawStage();
    at("viewer").setAttribute("aria-busy", "false");
    performance.mark("viewer-ready");
  }

  const blocks = new Map();
  async function blockOf(key) {
    if (!blocks.has(key)) blocks.set(key, maps.bytes(await maps.need(key)));
    return blocks.get(key);
  }

  function showImage() {
    mark(at("images"), `image-${state.image}`);
    at("image-said").textContent = nameOf(state.image);
    at("stage-title").textContent = `Filter ${state.filter}`;
    drawPanels();
    sliders();
    write();
  }

  function sliders() {
    at("mix").value = state.mix;
    at("opacity").value = state.opacity;
    at("viewer").style.setProperty("--opacity", state.opacity / 100);
  }

  const guard = (step) => step().catch((error) => {
    at("said").textContent = error.message;
    at("viewer").setAttribute("aria-busy", "false");
  });

  function chooseFilter(channel) {
    state.filter = channel;
    guard(loadFilter);
  }

  function chooseImage(image) {
    state.image = image;
    showImage();
    drawStage();
  }

  function chooseMix(mix) {
    state.mix = percent(mix);
    sliders();
    drawStage();
    write();
  }

  function chooseView(name) {
    Object.assign(state, { view: name, filter: null, image: state.image });
    guard(load);
  }

  /** Move along a list from the current choice; stop at its ends. */
  function step(list, away) {
    const options = [...list.children];
    const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    const next = options[Math.max(0, Math.min(options.length - 1, now + away))];
    if (next && next !== options[now]) (list === at("filters") ? chooseFilter : chooseImage)(Number(next.dataset.value));
  }

  const keys = {
    ArrowUp: () => step(at("filters"), -1),
    ArrowDown: () => step(at("filters"), 1),
    ArrowLeft: () => step(at("images"), -1),
    ArrowRight: () => step(at("images"), 1),
    Home: () => step(at("filters"), -Infinity),
    End: () => step(at("filters"), Infinity),
    ",": () => chooseMix(state.mix - 5),
    ".": () => chooseMix(state.mix + 5),
    1: () => chooseMix(0),
    2: () => chooseMix(50),
    3: () => chooseMix(100),
  };

  function onKey(event) {
    const busy = event.target.closest("select, input, dialog, pre");
    if (at("viewer").hidden || !shown || busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  }

  /** Show the value of every part at the pointer. */
  function readOut(event) {
    const box = event.target.closest(".overlay");
    if (!box || !shown) return;
    const edges = box.getBoundingClientRect();
    const [height, width] = view.map;
    const y = Math.min(height - 1, Math.floor(((event.clientY - edges.top) / edges.height) * height));
    const x = Math.min(width - 1, Math.floor(((event.clientX - edges.left) / edges.width) * width));
    if (y < 0 || x < 0) return;
    const place = (state.image * height + y) * width + x;
    const parts = shown.parts.map((each) => each[place]);
    const sum = parts.reduce((total, value) => total + value, 0);
    at("readout").textContent =
      `Row ${y}, column ${x}: x* ${number(sum)} = ` +
      parts.map((value, part) => `${spoken(view.components[part])} ${number(value)}`).join(" + ").replaceAll("+ −", "− ");
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      at("said").textContent = "Link copied.";
    } catch {
      at("said").textContent = "The address bar holds the link.";
    }
    setTimeout(() => (at("said").textContent = ""), 3000);
  }

  function listen() {
    at("pair").addEventListener("change", (event) =>
      chooseView(index.views.find(({ pair }) => pair === event.target.value).name));
    at("layer").addEventListener("change", (event) => chooseView(event.target.value));
    at("filter-sort").addEventListener("change", (event) => {
      state.filters = event.target.value;
      fillFilters();
      mark(at("filters"), `filter-${state.filter}`);
      write();
    });
    at("image-sort").addEventListener("change", (event) => {
      state.images = event.target.value;
      orderImages();
      mark(at("images"), `image-${state.image}`);
      write();
    });
    for (const [list, choose] of [["filters", chooseFilter], ["images", chooseImage]])
      at(list).addEventListener("click", (event) => {
        const option = event.target.closest("[role=option]");
        if (option) choose(Number(option.dataset.value));
      });
    at("mix").addEventListener("input", (event) => chooseMix(Number(event.target.value)));
    at("opacity").addEventListener("input", (event) => {
      state.opacity = Number(event.target.value);
      sliders();
      write();
    });
    at("copy").addEventListener("click", copy);
    for (const id of ["stage", "panels"]) at(id).addEventListener("pointermove", readOut);
    document.addEventListener("keydown", onKey);
    addEventListener("hashchange", open);
  }

  function open() {
    if (page.place() !== "viewer") return;
    if (location.hash.includes("?") || !state.view) read();
    guard(load);
  }

  async function start() {
    index = await maps.need("views");
    colours = maps.palette(index.colours);
    at("stage").append(...overlay(256));
    at("stage").setAttribute("role", "img");
    drawScale();
    listen();
    open();
  }

  guard(start);
})();
