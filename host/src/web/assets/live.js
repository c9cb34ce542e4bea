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

// The markup that a live part was made of, before times were shown in the reader's zone.
const made = new WeakMap();
for (const part of document.querySelectorAll('[data-live="whole"]')) made.set(part, part.innerHTML);

// What somebody is filling in is left alone.
function isInUse(part) {
  const fields = [...part.querySelectorAll("input, textarea, select")];
  return fields.some(
    (field) =>
      field === document.activeElement ||
      (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== (field.defaultValue ?? field.value)),
  );
}

function replaceWhole(old, fresh) {
  if (made.get(old) === fresh.innerHTML || isInUse(old)) return;
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  made.set(old, fresh.innerHTML);
  old.innerHTML = fresh.innerHTML;
  const details = [...old.querySelectorAll("details")];
  if (details.length === open.length) details.forEach((one, index) => (one.open = open[index]));
  showLocalTimes(old);
  offerCopies(old);
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

// Copying needs a script and a secure page: without them the button stays hidden.
function offerCopies(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
  }
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

showLocalTimes(document);
fitFrames(document);
offerCopies(document);

if (document.querySelector("[data-live]")) {
  const events = new EventSource("/events");
  let waiting = 0;
  const look = () => {
    // The first change shows at once; those that follow closely are one look.
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      refresh().catch(() => {});
    }, 100);
  };
  events.addEventListener("changed", look);
  // Something may have happened after the page was made, or while there was no connection.
  events.addEventListener("open", look);
  // A hidden page gives its connection back: browsers allow few to one host.
  window.addEventListener("pagehide", () => events.close());
}
