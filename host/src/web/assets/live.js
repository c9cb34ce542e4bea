// What htmx and idiomorph are told about these pages, and the little that they cannot do. Everything works without it.
"use strict";

const formats = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-shown])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.dataset.shown = "";
      time.title = time.textContent;
      time.textContent = formats.format(at);
    }
  }
}

// Frames have no scripts of their own; the page may read how tall they are.
const fitted = new WeakSet();
function fitFrames(root) {
  for (const frame of root.querySelectorAll("iframe")) {
    if (fitted.has(frame)) continue;
    fitted.add(frame);
    const fit = () => {
      const content = frame.contentDocument && frame.contentDocument.documentElement;
      // Its offset height is the content's; the scroll height would be the frame's own at least.
      if (content) frame.style.height = `${Math.min(content.offsetHeight + 8, 20000)}px`;
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

// What somebody is filling in is left alone.
function isInUse(form) {
  const fields = [...form.elements].filter((field) => field.localName !== "button" && field.type !== "hidden");
  return fields.some(
    (field) =>
      field === document.activeElement ||
      (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== (field.defaultValue ?? field.value)),
  );
}

// A fresh page is laid over the one that is there: what is the same stays, so that frames do not load again.
Object.assign(Idiomorph.defaults.callbacks, {
  beforeNodeMorphed(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE || fresh.nodeType !== Node.ELEMENT_NODE) return true;
    if (old.localName === "time") return old.dateTime !== fresh.dateTime || !("shown" in old.dataset);
    if (old.localName === "form") return !isInUse(old);
    // An article says by its digest what it holds.
    return !(old.dataset.digest && old.dataset.digest === fresh.dataset.digest);
  },
  beforeAttributeUpdated(name, node) {
    // What the reader has opened, and the buttons that scripts show, stay as they are.
    if (name === "open") return node.localName !== "details";
    if (name === "hidden") return !node.dataset.copy;
    // How tall a frame is, its script has set.
    return !(name === "style" && node.localName === "iframe");
  },
});

// The place within the page is the reader's: what is fetched anew does not scroll to it again.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb === "get") event.detail.path = event.detail.path.split("#")[0];
});

function settle() {
  showLocalTimes(document);
  fitFrames(document);
  offerCopies(document);
}
document.addEventListener("htmx:afterSettle", settle);
document.addEventListener("htmx:oobAfterSwap", settle);

// What could not be done in place is done as a whole page, which says why.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.elt.localName === "form") event.detail.elt.submit();
});

// A page that is left gives its connection back: browsers allow few to one host.
const sources = new Set();
document.addEventListener("htmx:sseOpen", (event) => sources.add(event.detail.source));
window.addEventListener("pagehide", () => sources.forEach((source) => source.close()));
// One that is come back to by the Back button has lost it.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && sources.size) location.reload();
});

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

settle();
