"use strict";
// What the interactive views share: inflating what the page carries, colours of the page's style, drawing.
const interactive = (() => {
  const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const drawn = new Map();
  let library = null;

  const inflated = async id => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), letter => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  };
  const read = async id => JSON.parse(await inflated(id));

  const load = () => library ??= inflated("plot-library").then(text => {
    const script = document.createElement("script");
    script.textContent = text;
    document.head.append(script);
  });

  const power = exponent => "10" + (exponent < 0 ? "⁻" : "") + [...String(Math.abs(exponent))].map(d => SUPERSCRIPT[d]).join("");

  /** A number that has been rounded already, as a reader sees it. */
  const number = value => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (value === 0 || (size >= 1e-3 && size < 1e6)) return String(value).replace("-", "−");
    const [mantissa, exponent] = value.toExponential().split("e");
    return `${mantissa.replace("-", "−")}×${power(Number(exponent))}`;
  };
  /** An exact number, such as a λ, to four digits. */
  const brief = value => number(value === null ? null : Number(value.toPrecision(4)));

  /** A variable of the page's style as a plain colour: what it is now, light or dark. */
  const colour = name => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const style = () => {
    const ink = colour("--ink"), soft = colour("--soft"), line = colour("--line");
    const font = getComputedStyle(document.body).fontFamily;
    const axis = { labelColor: ink, titleColor: soft, domainColor: soft, tickColor: soft, gridColor: line, labelFont: font, titleFont: font,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return { background: "transparent", axis, legend: { labelColor: ink, titleColor: soft, labelFont: font, titleFont: font, labelFontSize: 12,
      titleFontSize: 12, titleFontWeight: "normal" }, style: { cell: { stroke: line }, text: { fill: ink, font } } };
  };

  const widths = new ResizeObserver(entries => entries.forEach(({ target }) => {
    const view = drawn.get(target);
    if (view && target.clientWidth && view.width() !== target.clientWidth) view.width(target.clientWidth).runAsync();
  }));

  /** Draws `spec` into `box` in place of what was there. data: rows by name; adjust: changes a copy of the specification first. */
  const draw = async (box, spec, data, signals = {}, adjust = () => {}) => {
    drawn.get(box)?.finalize();
    const own = structuredClone(spec);
    own.autosize = { type: "fit", contains: "padding" };
    own.width = Math.max(box.clientWidth, 240);
    adjust(own);
    for (const source of own.data) if (source.name in data) source.values = data[source.name];
    // ast: expressions are interpreted, for the page's policy lets no text become code
    // Vega names and describes every mark; the box is one picture with one description, and a table says the rest
    const inner = document.createElement("div");
    inner.setAttribute("aria-hidden", "true");
    box.replaceChildren(inner);
    const { view } = await vegaEmbed(inner, own, { mode: "vega", ast: true, renderer: "svg", actions: false, defaultStyle: false, config: style(),
      tooltip: { theme: dark() ? "dark" : "light" } });
    if (own.signals.some(({ name }) => name === "ink")) view.signal("ink", colour("--ink"));
    for (const [name, value] of Object.entries(signals)) view.signal(name, value);
    drawn.set(box, view);
    widths.observe(box);
    await view.runAsync();
    return view;
  };
  /** Forgets the drawings of boxes that leave the page. */
  const clear = holder => {
    for (const [box, view] of drawn) if (holder.contains(box)) { view.finalize(); widths.unobserve(box); drawn.delete(box); }
    holder.replaceChildren();
  };

  /** Calls `start` once, when `section` is about to be seen, with the plot library there; says so where the browser is too old. */
  const begin = (section, start) => {
    const waiting = new IntersectionObserver(entries => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      waiting.disconnect();
      if (!("DecompressionStream" in window)) {
        section.querySelector("[data-state]").textContent = "This browser cannot inflate the view's data; the tables beside this page hold it.";
        return;
      }
      load().then(start).then(() => section.setAttribute("data-ready", ""));
    }, { rootMargin: "600px" });
    waiting.observe(section);
  };
  const onTheme = redraw => {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    document.addEventListener("theme", redraw);
  };

  /** Fills a <select> with texts, keeping its choice where that is still one of them. */
  const offer = (select, texts) => {
    const before = select.value;
    select.replaceChildren(...texts.map(text => new Option(text, text)));
    if (texts.includes(before)) select.value = before;
    select.disabled = texts.length < 2;
  };
  const whole = (from, to) => Array.from({ length: Math.max(0, Math.floor(to) - Math.ceil(from) + 1) }, (_, i) => Math.ceil(from) + i);
  return { read, number, brief, draw, clear, begin, onTheme, offer, whole };
})();
