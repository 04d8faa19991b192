// What the pages need beyond htmx: times in the viewer's zone, charts, selection, and small comforts. Without
// it everything still works: times are UTC and charts are tables.
(function () {
  "use strict";
  const lang = document.documentElement.lang;

  // <time datetime="..." data-form="time|date|both|ago"> in the zone of the viewer, the exact one on hover.
  const forms = {
    time: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    date: { year: "numeric", month: "2-digit", day: "2-digit" },
    both: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    short: { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { month: "2-digit", day: "2-digit" },
  };
  const hours = [1, 2, 3, 6, 12, 24, 48, 72, 168, 336]; // between two labels of an hourly chart
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  function ago(at) {
    const seconds = (at - Date.now()) / 1000;
    const [unit, size] = units.find(([, s]) => Math.abs(seconds) >= s) || units[3];
    return new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(Math.round(seconds / size), unit);
  }
  function times(root) {
    for (const e of root.querySelectorAll("time[datetime]")) {
      const at = new Date(e.dateTime);
      if (isNaN(at)) continue;
      e.title = e.dateTime + "\n" + at.toLocaleString(lang, { timeZoneName: "short" });
      e.textContent = e.dataset.form === "ago" ? ago(at) : at.toLocaleString(lang, forms[e.dataset.form] || forms.both);
    }
  }

  // <div class="chart" data-chart='{"times":[unix...],"series":[{"name":"","values":[]}]}'>
  function charts(root) {
    if (typeof uPlot === "undefined") return;
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const probe = document.createElement("span");
    document.body.append(probe);
    const colour = (name) => { probe.className = name; return getComputedStyle(probe).color; };
    const colours = ["ink-1", "ink-2", "ink-3", "ink-4", "ink-5", "ink-6"].map(colour);
    const soft = colour("soft"), line = colour("ink-line");
    probe.remove();
    for (const e of root.querySelectorAll("[data-chart]")) {
      const data = JSON.parse(e.dataset.chart);
      e.replaceChildren();
      // A label has room for a time or a day: over more than a day the day stands where it begins.
      const long = data.times.at(-1) - data.times[0] > 36 * 3600;
      const tick = (t, before) => {
        const at = new Date(t * 1000);
        const day = long && (before === undefined || new Date(before * 1000).getDate() !== at.getDate());
        return day ? at.toLocaleDateString(lang, forms.day) : at.toLocaleTimeString(lang, forms.minute);
      };
      const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px " + ink("--sans") };
      new uPlot({
        width: e.clientWidth || 600, height: Number(e.dataset.height || 220), cursor: { y: false },
        legend: { live: true }, scales: { y: { range: (u, min, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [{ ...axis, space: 72, ...(data.hourly && { incrs: hours.map((h) => h * 3600) }), values: (u, ts) => ts.map((t, i) => tick(t, ts[i - 1])) }, { ...axis, size: 46 }],
        series: [{ label: lang.startsWith("zh") ? "时间" : "Time", value: (u, t) => (t == null ? "" : new Date(t * 1000).toLocaleString(lang, forms.short)) }]
          .concat(data.series.map((s, i) => ({ label: s.name, stroke: colours[i % colours.length], width: 1.75, points: { show: false }, paths: data.hourly ? uPlot.paths.stepped({ align: 1 }) : undefined }))),
      }, [data.times].concat(data.series.map((s) => s.values)), e);
    }
  }

  // A table with <input type=checkbox data-all> in its head and [name] ones in its rows; [data-picked] shows how
  // many, [data-needs-pick] is enabled by one.
  function picks(root) {
    for (const form of root.querySelectorAll("form[data-picks]")) {
      const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")];
      const all = form.querySelector("[data-all]");
      const update = () => {
        const n = boxes().filter((b) => b.checked).length;
        for (const e of form.querySelectorAll("[data-picked]")) e.textContent = n;
        for (const e of form.querySelectorAll("[data-needs-pick]")) e.disabled = n === 0;
        if (all) { all.checked = n > 0 && n === boxes().length; all.indeterminate = n > 0 && !all.checked; }
      };
      form.addEventListener("change", (ev) => {
        if (ev.target === all) for (const b of boxes()) b.checked = all.checked;
        update();
      });
      update();
    }
  }

  // A click on [data-copy] copies its text; [data-fold] opens and closes what it controls.
  document.addEventListener("click", (ev) => {
    const copy = ev.target.closest("[data-copy]");
    if (copy && navigator.clipboard) navigator.clipboard.writeText(copy.dataset.copy);
    const fold = ev.target.closest("[data-fold]");
    if (fold) {
      const target = document.getElementById(fold.getAttribute("aria-controls"));
      const open = target.classList.toggle("folded") === false;
      fold.setAttribute("aria-expanded", String(open));
    }
  });
  // "/" goes to the search box.
  document.addEventListener("keydown", (ev) => {
    if (ev.key !== "/" || ev.ctrlKey || ev.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(ev.target.tagName)) return;
    const box = document.querySelector("input[type=search]");
    if (box) { ev.preventDefault(); box.focus(); box.select(); }
  });
  // <input type=hidden data-offset="until"> says how far the viewer's zone is from UTC at the time in that field.
  document.addEventListener("submit", (ev) => { for (const e of ev.target.querySelectorAll("[data-offset]")) { const at = new Date(ev.target.elements[e.dataset.offset].value); e.value = isNaN(at) ? "" : at.getTimezoneOffset(); } }, true);
  // A form with [data-confirm] asks before it is sent.
  document.addEventListener("submit", (ev) => {
    const words = (ev.submitter && ev.submitter.dataset.confirm) || ev.target.dataset.confirm;
    if (words && !window.confirm(words)) ev.preventDefault();
  }, true);

  // A live list waits while some of its rows are picked, so that nothing moves under the pointer, and is renewed after.
  document.addEventListener("htmx:sseBeforeMessage", (ev) => {
    const form = ev.target.closest("form[data-picks]");
    if (!form || !form.querySelector("tbody input:checked")) return;
    ev.preventDefault();
    form.dataset.stale = "1";
  });
  document.addEventListener("change", (ev) => {
    const form = ev.target.closest("form[data-picks][data-stale]");
    const list = form && form.closest("[sse-connect][id]");
    if (list && !form.querySelector("tbody input:checked")) htmx.ajax("GET", location.href, { target: list, select: "#" + list.id, swap: "outerHTML" });
  });

  // All tabs share one connection, which a worker holds (live.js). Where there is no such worker, each has its own.
  function share(script) {
    if (!script || typeof SharedWorker === "undefined" || typeof htmx === "undefined") return;
    const own = (url) => new EventSource(url, { withCredentials: true });
    const sources = new Set(), alone = new Set();
    let worker;
    try { worker = new SharedWorker(script, { name: "sendgate" }); } catch { return; }
    const say = () => worker.port.postMessage({ want: [...new Set([...sources].map((s) => s.url))] });
    // htmx asks for another source then; it is given no error, which it would write to the console.
    const drop = (s) => { s.close(); if (s.onerror) s.onerror(); };
    // What htmx takes for an EventSource.
    class Shared extends EventTarget {
      constructor(url) { super(); this.url = url; this.readyState = EventSource.CONNECTING; sources.add(this); say(); }
      close() { this.readyState = EventSource.CLOSED; if (sources.delete(this)) say(); }
    }
    worker.port.onmessage = ({ data: m }) => {
      if (m.kind === "alone") alone.add(m.url);
      for (const s of [...sources]) {
        if (m.kind === "open") { s.readyState = EventSource.OPEN; if (s.onopen) s.onopen(new Event("open")); }
        else if (m.kind === "error") { s.readyState = EventSource.CONNECTING; live(false); } // it connects again by itself
        else if (m.kind === "closed" || (m.kind === "alone" && s.url === m.url)) drop(s);
        else if (m.url === s.url) s.dispatchEvent(new MessageEvent(m.name, { data: m.data }));
      }
    };
    worker.onerror = () => { htmx.createEventSource = own; [...sources].forEach(drop); };
    htmx.createEventSource = (url) => (alone.has(url) ? own(url) : new Shared(url));
    setInterval(say, 20000);
    addEventListener("pagehide", () => worker.port.postMessage({ want: [] }));
    addEventListener("pageshow", (ev) => { if (ev.persisted) say(); });
  }
  share(document.currentScript.dataset.live);

  function live(on) { for (const e of document.querySelectorAll(".live")) e.classList.toggle("on", on); }
  document.addEventListener("htmx:sseOpen", () => live(true));
  document.addEventListener("htmx:sseError", () => live(false));
  // What was swapped in has the server's times for a moment, until htmx settles it: not for the eye.
  document.addEventListener("htmx:afterSwap", (ev) => times(ev.target.parentElement || document));
  document.addEventListener("htmx:load", (ev) => { times(ev.target.parentElement || document); charts(ev.target.parentElement || document); picks(ev.target); });
  document.addEventListener("DOMContentLoaded", () => { for (const e of document.querySelectorAll(".tabs [aria-current]")) e.parentElement.scrollLeft = e.offsetLeft + e.offsetWidth - e.parentElement.offsetLeft - e.parentElement.clientWidth; times(document); charts(document); picks(document); });
  let resized;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => charts(document), 150); });
  setInterval(() => { for (const e of document.querySelectorAll('time[data-form="ago"]')) e.textContent = ago(new Date(e.dateTime)); }, 10000);
})();
