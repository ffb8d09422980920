/* One small chart a topic, under each other: readable without colour. Dragging over any of them sets the dates.
   Days that nobody watched are shaded; days on which half of the usual outlets were silent are hatched. */
"use strict";
(() => {
  const figure = document.getElementById("chart");
  if (!figure || typeof uPlot === "undefined") return;
  const chart = JSON.parse(figure.dataset.chart);
  const place = figure.querySelector(".plots");
  const reading = figure.querySelector(".reading");
  const still = reading.textContent;
  const bins = chart.bins.map(([since, stories, ...rest], n) => {
    const said = rest.pop();
    return {
      since,
      until: n + 1 < chart.bins.length ? chart.bins[n + 1][0] : chart.end,
      stories,
      topics: rest,
      watched: said !== 0,
      quiet: Array.isArray(said) ? { usual: said[0], silent: said.slice(1) } : null,
    };
  });
  const seconds = (day) => Date.parse(day + "T00:00:00Z") / 1000;
  const starts = bins.map((bin) => seconds(bin.since));
  const width = { day: 1, week: 7, month: 30.44 }[chart.unit] * 86400;
  const rows = [["all", bins.map((bin) => bin.stories)]].concat(
    chart.topics.map((topic, n) => [topic, bins.map((bin) => bin.topics[n])]),
  );
  const LABELS = 96;
  const HALF = 36; // of a date's width
  let plots = [];

  const short = (name) => (name.length > 12 ? name.slice(0, 11) + "…" : name);

  // As a colour of an element: the property itself is computed to light-dark(…), which a canvas cannot be given.
  const colour = (name) => {
    place.style.color = `var(${name})`;
    return getComputedStyle(place).color;
  };

  const hatched = (u) => {
    const { left, top, width: wide, height } = u.bbox;
    const context = u.ctx;
    const [unread, hatch] = [colour("--unread"), colour("--hatch")];
    context.save();
    bins.forEach((bin, n) => {
      if (bin.watched && !bin.quiet) return;
      const from = u.valToPos(starts[n] - width / 2, "x", true);
      const to = u.valToPos(starts[n] + width / 2, "x", true);
      const x = Math.max(left, from);
      const w = Math.min(left + wide, to) - x;
      if (w <= 0) return;
      if (!bin.watched) {
        context.fillStyle = unread;
        context.fillRect(Math.floor(x), top, Math.ceil(w) + 1, height);
        return;
      }
      context.save();
      context.beginPath();
      context.rect(x, top, w, height);
      context.clip();
      context.strokeStyle = hatch;
      context.lineWidth = devicePixelRatio;
      const gap = 5 * devicePixelRatio;
      for (let at = x - height; at < x + w; at += gap) {
        context.beginPath();
        context.moveTo(at, top + height);
        context.lineTo(at + height, top);
        context.stroke();
      }
      context.restore();
    });
    context.restore();
  };

  const tell = (n) => {
    if (n === null || n === undefined) {
      reading.textContent = still;
      return;
    }
    const bin = bins[n];
    const parts = [`${bin.since}: ${bin.stories} ${bin.stories === 1 ? "story" : "stories"}`];
    chart.topics.forEach((topic, k) => bin.topics[k] && parts.push(`${topic} ${bin.topics[k]}`));
    if (bin.quiet) {
      const named = bin.quiet.silent.slice(0, 6).join(", ");
      const more = bin.quiet.silent.length > 6 ? " …" : "";
      parts.push(`${bin.quiet.silent.length} of ${bin.quiet.usual} usual outlets silent: ${named}${more}`);
    } else if (!bin.watched) {
      parts.push("no feed was read");
    }
    reading.textContent = parts.join(" · ");
  };

  const narrow = (u) => {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x");
    const to = u.posToVal(u.select.left + u.select.width, "x");
    const taken = bins.filter((_, n) => starts[n] + width / 2 > from && starts[n] - width / 2 < to);
    if (!taken.length) return;
    const target = new URL(figure.dataset.here, location.href);
    target.searchParams.set("since", taken[0].since);
    target.searchParams.set("until", taken[taken.length - 1].until);
    location.assign(target);
  };

  const options = (name, n, values) => ({
    width: place.clientWidth,
    height: n === rows.length - 1 ? 72 : 46,
    padding: [6, 4, 0, 0],
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
    cursor: {
      sync: { key: "days" },
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      y: false,
    },
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [starts[0] - width / 2, starts[starts.length - 1] + width / 2] },
      y: { range: () => [0, Math.max(1, ...values) * 1.08] },
    },
    axes: [
      {
        show: n === rows.length - 1,
        stroke: colour("--soft"),
        grid: { show: false },
        ticks: { stroke: colour("--line"), width: 1 },
        size: 26,
        font: "12px system-ui, sans-serif",
        values: (u, ats) =>
          ats.map((at) => (u.valToPos(at, "x") > place.clientWidth - LABELS - HALF ? "" : new Date(at * 1000).toISOString().slice(0, 10))),
        space: 90,
      },
      {
        size: LABELS,
        stroke: colour("--soft"),
        grid: { show: false },
        ticks: { show: false },
        font: "12px system-ui, sans-serif",
        splits: () => [0, Math.max(1, ...values)],
        values: (u, splits) => splits.map((value) => (value ? `${short(name)}\nup to ${value.toLocaleString("en")}` : "")),
      },
    ],
    series: [
      {},
      {
        fill: colour(n ? "--accent" : "--bar"),
        stroke: "transparent",
        width: 0,
        paths: uPlot.paths.bars({ size: [0.86, 28, 1], align: 0 }),
        points: { show: false },
      },
    ],
    hooks: {
      drawClear: [hatched],
      setSelect: [narrow],
      setCursor: [(u) => tell(u.cursor.idx)],
    },
  });

  const draw = () => {
    plots.forEach((plot) => plot.destroy());
    plots = rows.map(([name, values], n) => new uPlot(options(name, n, values), [starts, values], place));
  };

  figure.hidden = false;
  draw();
  let wide = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth === wide) return;
    wide = place.clientWidth;
    plots.forEach((plot) => plot.setSize({ width: wide, height: plot.height }));
  }).observe(place);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
