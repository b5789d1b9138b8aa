"use strict";
// The λ explorer. Every number was aggregated before; this looks them up and draws.
interactive.begin(document.getElementById("explorer"), async () => {
  const [data, specs] = [await interactive.read("explorer-data"), await interactive.read("explorer-charts")];
  const { number, brief } = interactive;
  const TITLES = { loss: "Loss", error: "Error", weights: "Norms of the weights", sparsity: "Weights that are exactly 0",
    calibration: "Calibration error and Brier score", likelihood: "Test negative log-likelihood", confidence: "Confidence less accuracy",
    arithmetic: "Decay that arrives, updates that rounding loses" };
  const LOGARITHMIC = ["loss", "likelihood", "weights"];
  const CHOICES = ["dataset", "model", "penalty", "method", "arithmetic", "setting"];
  const START = JSON.parse(document.getElementById("explorer").dataset.start);
  const root = document.getElementById("explorer");
  const pick = name => root.querySelector(`[name="${name}"]`);
  const slider = pick("lambda"), holder = root.querySelector(".charts"), said = root.querySelector(".state");
  const { slices, points, metrics } = data;
  const all = slices.start.map((_, i) => i);
  const text = (name, slice) => data.choices[name].values[data.choices[name].of[slice]];
  const rate = slice => slices.lr[slice] === null ? "none" : brief(slices.lr[slice]);
  let slice = 0, charts = [];

  const unique = values => [...new Set(values)];
  /** Offers, choice by choice, what the choices before leave; the last is the learning rate. */
  const narrow = () => {
    let left = all;
    for (const name of CHOICES) {
      const texts = unique(left.map(i => text(name, i)));
      interactive.offer(pick(name), name === "setting" || name === "method" ? texts : texts.sort((a, b) => a.localeCompare(b, "en", { numeric: true })));
      left = left.filter(i => text(name, i) === pick(name).value);
    }
    left.sort((a, b) => slices.lr[a] - slices.lr[b]);
    interactive.offer(pick("lr"), unique(left.map(rate)));
    slice = left.find(i => rate(i) === pick("lr").value) ?? left[0];
  };

  const rows = () => Array.from({ length: slices.count[slice] }, (_, i) => slices.start[slice] + i);
  const here = () => slices.start[slice] + Number(slider.value);
  const lambda = at => points.lambda[at] === 0 ? "0" : brief(points.lambda[at]);
  const zero = () => Math.min(...rows().filter(at => points.lambda[at] > 0).map(at => Math.log10(points.lambda[at]))) - 0.8;
  const x = at => points.lambda[at] === 0 ? zero() : Math.log10(points.lambda[at]);
  const signals = () => {
    const shown = rows().map(x), ticks = interactive.whole(Math.min(...rows().filter(at => points.lambda[at] > 0).map(x)), Math.max(...shown));
    return { zero: zero(), ticks: rows().some(at => points.lambda[at] === 0) ? [zero(), ...ticks] : ticks };
  };
  const unit = metric => data.labels[metric][slices.regression[slice] ? 2 : 1];
  const label = metric => data.labels[metric][0];
  const shown = (metric, at) => points.diverged[at] === points.n[at] ? "diverged" : metrics[metric].median[at] === null ? "–" :
    `${number(metrics[metric].median[at])} [${number(metrics[metric].low[at])}, ${number(metrics[metric].high[at])}]`;
  const finished = at => `${points.n[at] - points.diverged[at]} of ${points.n[at]}`;
  const stored = metric => rows().some(at => metrics[metric].median[at] !== null);

  const card = (title, note) => {
    const box = document.createElement("div"), head = document.createElement("h2"), chart = document.createElement("div");
    box.className = "chart-card";
    head.textContent = title;
    const small = document.createElement("small");
    small.textContent = note;
    head.append(" ", small);
    chart.className = "chart";
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${title} against λ. The values at the chosen λ are in the table below.`);
    box.append(head, chart);
    holder.append(box);
    return chart;
  };
  const now = () => [{ x: x(here()) }];
  const show = async (title, note, spec, drawing, adjust) => {
    const box = card(title, note), view = await interactive.draw(box, specs[spec], { ...drawing, now: now() }, signals(), adjust);
    charts.push(view);
    const drag = event => {
      if (event.type === "pointermove" && !(event.buttons & 1)) return;
      const at = view.scale("x").invert(event.clientX - box.getBoundingClientRect().left - view.origin()[0]);
      const distances = rows().map(row => Math.abs(x(row) - at));
      const nearest = distances.indexOf(Math.min(...distances));
      if (Number(slider.value) !== nearest) { slider.value = nearest; move(); }
    };
    box.addEventListener("pointerdown", drag);
    box.addEventListener("pointermove", drag);
  };

  const curves = async group => {
    const names = data.groups[group].filter(stored);
    if (!names.length) return;
    const drawing = names.flatMap(metric => rows().map(at => ({ x: x(at), series: label(metric), median: metrics[metric].median[at],
      low: metrics[metric].low[at], high: metrics[metric].high[at], lambda: lambda(at), shown: shown(metric, at), runs: `${finished(at)} finished` })));
    const values = drawing.flatMap(row => [row.low, row.median, row.high]).filter(value => value !== null);
    if (values.every(value => value === 0)) return;
    const log = LOGARITHMIC.includes(group) && Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values);
    const note = [unique(names.map(unit)).join("; "), log ? "log scale" : ""].filter(Boolean).join(", ");
    await show(TITLES[group], note ? `(${note})` : "", "curves", { points: drawing }, spec => {
      const scale = spec.scales.find(({ name }) => name === "y");
      if (log) { scale.type = "log"; delete scale.zero; scale.nice = false; }
      const decades = !log ? [] : interactive.whole(Math.log10(Math.min(...values)), Math.log10(Math.max(...values))).map(power => 10 ** power);
      if (decades.length > 1) for (const axis of spec.axes) if (axis.scale === "y") axis.values = decades;
      if (names.length < 2) spec.legends = [];
      else if (names.map(label).join("").length > 42) for (const legend of spec.legends) legend.columns = 1;
    });
  };
  const dots = async () => {
    const drawing = [["chosen on validation", "chosen"], ["diverged", "diverged"]].flatMap(([row, column]) => rows().map(at => ({
      x: x(at), row, lambda: lambda(at), share: points[column][at] / points.n[at], shown: points[column][at] ? `${points[column][at]}` : "" })));
    await show("Replicates", `(of ${slices.replicates[slice]})`, "dots", { dots: drawing });
  };
  const paths = async () => {
    const path = data.paths[data.path_of[slice]];
    if (!path) return;
    const penalised = rows().filter(at => points.lambda[at] > 0);
    const drawing = path.flatMap((weights, feature) => penalised.map((at, i) => ({ x: x(at), feature: `${feature + 1}`, weight: weights[i],
      lambda: lambda(at), shown: number(weights[i]) })));
    await show("Weights, coefficient by coefficient", "(exact minimisers; medians)", "paths", { points: drawing });
  };
  const kept = async () => {
    const table = data.kept[slice];
    if (!table) return;
    const at = rows().filter(row => points.lambda[row] > 0), place = at.map(x);
    const edge = i => i < 0 ? 1.5 * place[0] - 0.5 * place[1] : i + 1 < place.length ? (place[i] + place[i + 1]) / 2 : 1.5 * place[i] - 0.5 * place[i - 1];
    const first = rows().length - at.length;
    const drawing = table.features.flatMap((feature, row) => at.map((point, i) => ({ left: edge(i - 1), right: edge(i), feature: `${feature}`,
      lambda: lambda(point), share: table.kept[row][i + first] / points.n[point], shown: `${table.kept[row][i + first]} of ${points.n[point]} replicates` })));
    await show("Features kept", `(the ${table.features.length} that most replicates keep)`, "kept", { cells: drawing });
  };

  const tell = () => {
    const at = here(), gone = points.diverged[at] === points.n[at];
    const where = points.lambda[at] === 0 ? "λ = 0, no penalty" : `λ = ${lambda(at)}` +
      (points.lambda_rel[at] ? ` (${number(points.lambda_rel[at])} × anchor)` : points.lambda_clock[at] ? ` (ηλT = ${number(points.lambda_clock[at])})` : "");
    const runs = gone ? `all ${points.n[at]} replicates diverged` : `${finished(at)} replicates finished` +
      (points.diverged[at] ? `, ${points.diverged[at]} diverged` : "");
    const penalised = rows().filter(row => points.lambda[row] > 0), end = at === penalised[0] || at === penalised.at(-1);
    const chose = points.lambda[at] === 0 || gone ? "" : `; lowest validation loss in ${points.chosen[at]} of ${slices.replicates[slice]}` +
      (end && points.chosen[at] ? ", at an end of the grid" : "");
    slider.setAttribute("aria-valuetext", `${where}; ${runs}${chose}`);
    said.textContent = `${where}; ${runs}${chose}.`;
    said.classList.toggle("gone", gone);
    const names = [...unique(Object.values(data.groups).flat()), ...data.others].filter(stored);
    root.querySelector("tbody").replaceChildren(...names.map(metric => {
      const row = document.createElement("tr"), head = document.createElement("th");
      row.dataset.metric = metric;
      head.scope = "row";
      head.textContent = label(metric) + (unit(metric) ? ` (${unit(metric)})` : "");
      row.append(head, ...["low", "median", "high"].map(side => {
        const cell = document.createElement("td");
        cell.className = gone ? "num lost" : "num";
        cell.textContent = gone ? "diverged" : number(metrics[metric][side][at]);
        return cell;
      }));
      return row;
    }));
    const filter = points.lambda[at] === 0 ? "" : `${slices.where[slice]} and lambda == ${points.lambda[at]}`;
    root.querySelector("pre").textContent = filter ? `python -m wdbench show runs --where '${filter}'` : "";
    root.querySelector("pre").hidden = !filter;
    const given = Object.fromEntries([...CHOICES, "lr"].map(name => [name, pick(name).value]));
    root.querySelector(".here").href = `#explorer?${new URLSearchParams({ ...given, lambda: lambda(at) })}`;
  };
  const move = () => {
    tell();
    for (const view of charts) view.data("now", now()).runAsync();
  };
  const best = () => rows().reduce((found, at, i) => points.chosen[at] > points.chosen[rows()[found]] ? i : found, 0);
  const redraw = async () => {
    interactive.clear(holder);
    charts = [];
    for (const group of ["loss", "error"]) await curves(group);
    await dots();
    await curves("weights");
    await paths();
    await curves("sparsity");
    await kept();
    for (const group of ["calibration", "likelihood", "confidence", "arithmetic"]) await curves(group);
  };
  /** One drawing after another, so that two quick changes never mix their charts. */
  let last = Promise.resolve();
  const refresh = () => last = last.then(redraw, redraw);
  const change = () => {
    const before = points.lambda[here()];
    narrow();
    slider.max = slices.count[slice] - 1;
    const distances = rows().map(at => Math.abs(points.lambda[at] - before));
    slider.value = before === undefined || slices.count[slice] === 0 ? 0 : distances.indexOf(Math.min(...distances));
    const claims = slices.claims[slice], from = root.querySelector(".choosers");
    from.textContent = claims.length ? `Claims that chose the same λ on validation rows: ${claims.join(", ")}.` : "";
    tell();
    return refresh();
  };
  for (const name of [...CHOICES, "lr"]) pick(name).addEventListener("change", change);
  slider.addEventListener("input", move);
  root.querySelector("button").addEventListener("click", () => { slider.value = best(); move(); });
  interactive.onTheme(refresh);

  /** Takes the choices that are wanted and can be had, one after the other; then the λ, or the one chosen most often. */
  const take = async wanted => {
    narrow();
    for (const name of [...CHOICES, "lr"]) {
      if ([...pick(name).options].some(option => option.value === wanted[name])) pick(name).value = wanted[name];
      narrow();
    }
    await change();
    const at = rows().findIndex(row => lambda(row) === wanted.lambda);
    slider.value = at < 0 ? best() : at;
    move();
  };
  root.querySelector("form").hidden = root.querySelector(".lambda-bar").hidden = false;
  document.addEventListener("view", ({ detail }) => { if (detail.id === "explorer" && detail.parameters.size) take(Object.fromEntries(detail.parameters)); });
  const { parameters } = views.route();
  await take(parameters.size ? Object.fromEntries(parameters) : START);
});
