// Keeps a page up to date. Everything works without it.
"use strict";

const formats = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = time.textContent;
      time.textContent = formats.format(at);
    }
  }
}

// Frames have no scripts of their own; the page may read how tall they are.
function fitFrames(root) {
  for (const frame of root.querySelectorAll("iframe")) {
    const fit = () => {
      const root = frame.contentDocument && frame.contentDocument.documentElement;
      // Its offset height is the content's; the scroll height would be the frame's own at least.
      if (root) frame.style.height = `${Math.min(root.offsetHeight + 8, 20000)}px`;
    };
    frame.addEventListener("load", () => {
      fit();
      const inner = frame.contentDocument;
      if (!inner) return;
      for (const image of inner.images) image.addEventListener("load", fit);
      for (const details of inner.querySelectorAll("details")) details.addEventListener("toggle", fit);
    });
    fit();
  }
}

function replaceWhole(old, fresh) {
  if (old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return;
  if (old.dataset.markup === fresh.innerHTML) return;
  old.dataset.markup = fresh.innerHTML;
  old.innerHTML = fresh.innerHTML;
  showLocalTimes(old);
}

function replaceArticles(old, fresh) {
  const there = new Map([...old.querySelectorAll("article")].map((article) => [article.id, article]));
  const next = [...fresh.children].map((child) => {
    const same = there.get(child.id);
    if (same && same.dataset.digest === child.dataset.digest) return same;
    const added = document.importNode(child, true);
    showLocalTimes(added);
    fitFrames(added);
    return added;
  });
  const kept = new Set(next);
  for (const child of [...old.children]) if (!kept.has(child)) child.remove();
  // What stays is not moved: a frame that is moved loads again.
  next.forEach((child, index) => {
    if (old.children[index] !== child) old.insertBefore(child, old.children[index] || null);
  });
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh) continue;
    if (old.dataset.live === "articles") replaceArticles(old, fresh);
    else replaceWhole(old, fresh);
  }
}

for (const form of document.querySelectorAll("form.write")) {
  // A second click sends the same form, which the server takes once; this only saves the upload.
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  });
}
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form.write button")) button.disabled = false;
});

showLocalTimes(document);
fitFrames(document);

if (document.querySelector("[data-live]")) {
  const events = new EventSource("/events");
  let waiting = 0;
  events.addEventListener("changed", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => refresh().catch(() => {}), 300);
  });
  // A hidden page gives its connection back: browsers allow few to one host.
  window.addEventListener("pagehide", () => events.close());
}
