// Keeps the open page current. The page is complete without this script:
// it only swaps fragments that the server rendered with the same templates.
"use strict";
(() => {
  const note = document.getElementById("connection");
  const status = document.getElementById("announce");
  let source = null;
  let lost = null;
  let hidden = null;

  const key = (element) => element.id || element.getAttribute("href") || element.getAttribute("name");

  // What the reader has in hand must survive a swap.
  const keep = (box) => {
    const focus = box.contains(document.activeElement) ? key(document.activeElement) : null;
    const open = [...box.querySelectorAll("details[open]")].map((d) => d.dataset.key);
    const scroll = [...box.querySelectorAll("[tabindex='0']")].map((e) => [e.scrollLeft, e.scrollTop]);
    return () => {
      for (const d of box.querySelectorAll("details")) if (open.includes(d.dataset.key)) d.open = true;
      [...box.querySelectorAll("[tabindex='0']")].forEach((e, i) => scroll[i] && e.scrollTo(...scroll[i]));
      if (!focus) return;
      for (const e of box.querySelectorAll("a,button,input,select,summary,[tabindex]")) {
        if (key(e) === focus) { e.focus({ preventScroll: true }); break; }
      }
    };
  };

  const selecting = (box) => {
    const chosen = getSelection();
    return chosen && !chosen.isCollapsed && box.contains(chosen.anchorNode);
  };

  const rows = (box) => new Map([...box.querySelectorAll("[data-key]")].map((e) => [e.dataset.key, e.textContent]));

  const swap = (box, html) => {
    if (selecting(box)) { box.pending = html; return; }
    box.pending = null;
    const before = rows(box);
    const restore = keep(box);
    box.innerHTML = html;
    restore();
    tick();
    for (const e of box.querySelectorAll("[data-key]")) {
      const old = before.get(e.dataset.key);
      const words = (text) => text.replace(/\d+(\.\d+)? (µs|ms|s|min|h|d)\b/g, "");
      if (old === undefined || words(old) !== words(e.textContent)) e.classList.add("changed");
    }
  };

  const boxes = () => document.querySelectorAll("[data-live]");
  document.addEventListener("selectionchange", () => {
    for (const box of boxes()) if (box.pending && !selecting(box)) swap(box, box.pending);
  });

  // Ages go on between updates. The words follow core::view::age.
  const worded = (ms) =>
    ms < 1e3 ? `0.${Math.max(0, Math.floor(ms / 100))} s` : ms < 12e4 ? `${Math.floor(ms / 1e3)} s` :
    ms < 72e5 ? `${Math.floor(ms / 6e4)} min` : ms < 1728e5 ? `${Math.floor(ms / 36e5)} h` : `${Math.floor(ms / 864e5)} d`;
  const skew = Date.now() - Date.parse(document.documentElement.dataset.now);
  const tick = () => {
    for (const t of document.querySelectorAll("time[data-age]")) {
      const words = worded(Date.now() - skew - Date.parse(t.dateTime));
      if (t.textContent !== words) t.textContent = words;
    }
    if (lost) note.textContent = `disconnected for ${worded(Date.now() - lost)}`;
  };

  const close = () => { if (source) source.close(); source = null; };
  const open = () => {
    close();
    source = new EventSource(`/live?page=${encodeURIComponent(location.pathname + location.search)}`);
    source.onopen = () => { lost = null; delete document.documentElement.dataset.stale; note.textContent = "live"; };
    source.onerror = () => {
      lost = lost || Date.now();
      document.documentElement.dataset.stale = "";
      tick();
      if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 5000); }
    };
    for (const box of boxes()) source.addEventListener(box.dataset.live, (event) => swap(box, event.data));
    source.addEventListener("announce", (event) => { status.textContent = event.data; });
    source.addEventListener("gone", () => location.reload());
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(close, 10000); else if (!source) open();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input,select,textarea")) return;
    event.preventDefault();
    document.getElementById("search").focus();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { if (!source) open(); });
  setInterval(tick, 1000);
})();
