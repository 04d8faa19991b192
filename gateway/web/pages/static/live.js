// A shared worker that holds one connection for all tabs: a browser opens six to a host (HTTP/1.1), and with a live
// page in each tab the seventh would never load. A tab says in {want: [path, ...]} which live pages it shows, again
// and again, so that one that went without a word is forgotten. It is told {url, name, data} for each part that is
// new to it, {kind: "open" | "error" | "closed"}, and {kind: "alone", url} for what finds no room here.
"use strict";
const most = 32, longest = 12000; // as the server takes them
const patience = 5 * 60 * 1000; // browsers let the timers of hidden tabs run once a minute
const tabs = new Map(); // by port: {want, seen, told}
let source = null, due = 0;

self.onconnect = (ev) => {
  const port = ev.ports[0];
  port.onmessage = (m) => heard(port, m.data.want);
};

function heard(port, want) {
  const tab = tabs.get(port) || { want: [], told: new Map() };
  const same = tab.want.join("\n") === want.join("\n");
  tab.want = want;
  tab.seen = Date.now();
  for (const key of tab.told.keys()) if (!want.includes(key.split("\n")[0])) tab.told.delete(key);
  if (want.length) tabs.set(port, tab);
  else tabs.delete(port);
  if (!same) renew();
}

// What follows each other, as when a page takes the place of another, is one change.
function renew() {
  clearTimeout(due);
  due = setTimeout(open, 50);
}

// choose gives what fits on the connection, and leaves the rest to the tabs themselves.
function choose() {
  const streams = [];
  let length = 0;
  for (const url of new Set([...tabs.values()].flatMap((t) => t.want))) {
    length += encodeURIComponent(url).length + 4;
    if (streams.length < most && length < longest) streams.push(url);
    else for (const [port, tab] of tabs) if (tab.want.includes(url)) port.postMessage({ kind: "alone", url });
  }
  return streams;
}

function open() {
  if (source) source.close();
  source = null;
  const streams = choose();
  if (!streams.length) return;
  const now = new EventSource("/live?" + new URLSearchParams(streams.map((s) => ["of", s])));
  source = now;
  now.onopen = () => tell({ kind: "open" });
  now.onerror = () => tell({ kind: now.readyState === EventSource.CLOSED ? "closed" : "error" });
  now.addEventListener("part", (ev) => {
    const at = ev.data.indexOf("\n");
    const [number, name] = ev.data.slice(0, at).split(" ");
    part(streams[Number(number)], name, ev.data.slice(at + 1));
  });
}

function tell(what) {
  for (const port of tabs.keys()) port.postMessage(what);
}

// part tells the tabs that show the page, unless they know: after a new connection the server says everything again.
function part(url, name, data) {
  for (const [port, tab] of tabs) {
    const key = url + "\n" + name;
    if (!tab.want.includes(url) || tab.told.get(key) === data) continue;
    tab.told.set(key, data);
    port.postMessage({ url, name, data });
  }
}

setInterval(() => {
  const before = tabs.size;
  for (const [port, tab] of tabs) if (Date.now() - tab.seen > patience) tabs.delete(port);
  if (tabs.size !== before) renew();
}, 60000);
