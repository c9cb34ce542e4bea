// Writing mail: drafts that stay in this browser, files by drag and drop, and limits said before sending.
// Everything works without it; the server decides again.
"use strict";

// Bytes of all files before they are encoded (S21); the server's own limit.
const FILES_LIMIT = 25 * 1024 * 1024;
// Base64 makes 4 bytes of 3, and a line break for each 76 (RFC 2045, 6.8).
const encoded = (bytes) => Math.ceil(bytes / 3) * 4 * (78 / 76);
const DRAFTS = "twinbox-draft:";
const SENT = "twinbox-sent";
// A draft that was not touched for so long is forgotten, ms.
const KEPT = 14 * 24 * 3600 * 1000;
const FIELDS = ["contact", "reply", "to", "cc", "bcc", "subject", "text", "limited", "kind"];

const sizeText = (bytes) => `${(bytes / (1024 * 1024)).toFixed(1)} MB`;

settleSent();
for (const form of document.querySelectorAll('form[action="/send"]')) {
  // In this order: a form that files keep from being sent keeps its draft.
  takeFiles(form);
  keepDraft(form);
}

// A draft goes when the server has taken it, which shows by where it leads.
function settleSent() {
  const sent = sessionStorage.getItem(SENT);
  if (sent && location.hash.startsWith("#message-")) localStorage.removeItem(sent);
  sessionStorage.removeItem(SENT);
}

// What was written is kept until it is sent, under the place that the form is at: an answer in a conversation, a new
// mail, a message that goes on. Signing out clears the storage.
function keepDraft(form) {
  const field = (name) => form.elements.namedItem(name);
  const place = `${DRAFTS}${field("place").value}`;
  // Not every form has all: an answer is a person's and has no kind.
  const fields = FIELDS.filter(field);
  const before = Object.fromEntries(fields.map((name) => [name, field(name).value]));
  const note = document.createElement("p");
  note.className = "muted";
  note.setAttribute("role", "status");
  form.append(note);

  forgetDrafts((draft) => !(draft && Date.now() - draft.at < KEPT));
  const draft = read(place);
  // A form that came back from the server has what was written already.
  if (draft && !("filled" in form.dataset)) {
    for (const name of fields) field(name).value = draft[name] ?? before[name];
    for (const details of form.querySelectorAll("details")) {
      if ([...details.querySelectorAll("input")].some((input) => input.value)) details.open = true;
    }
    note.textContent = "Your draft was kept in this browser. ";
    const drop = document.createElement("button");
    drop.type = "button";
    drop.textContent = "Discard it";
    drop.addEventListener("click", () => {
      localStorage.removeItem(place);
      for (const name of fields) field(name).value = before[name];
      note.textContent = "";
      field("text").focus();
    });
    note.append(drop);
  }
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const values = Object.fromEntries(fields.map((name) => [name, field(name).value]));
      if (fields.some((name) => values[name] !== before[name])) write(place, { ...values, at: Date.now() });
      else localStorage.removeItem(place);
    }, 300);
  });
  form.addEventListener("submit", (event) => {
    clearTimeout(waiting);
    if (!event.defaultPrevented) sessionStorage.setItem(SENT, place);
  });
}

// Files are dropped anywhere on the form; how much they are is said at once, and too much is not sent.
function takeFiles(form) {
  const input = form.querySelector('input[type="file"]');
  const note = document.createElement("p");
  note.className = "muted files";
  note.setAttribute("role", "status");
  input.closest("label").after(note);

  const look = () => {
    const files = [...input.files];
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    const over = encoded(bytes) > FILES_LIMIT;
    note.classList.toggle("bad", over);
    note.textContent = files.length === 0 ? "" : `${files.length === 1 ? "1 file" : `${files.length} files`}, ${sizeText(encoded(bytes))} as they are sent, of ${sizeText(FILES_LIMIT)}.`;
    if (over) note.textContent += " That is too much for one message: share a link, or send them in several.";
    return !over;
  };
  input.addEventListener("change", look);
  form.addEventListener("submit", (event) => {
    if (look()) return;
    event.preventDefault();
    for (const button of form.querySelectorAll("button")) button.disabled = false;
    input.focus();
  });
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const inside = (change) => {
    depth = Math.max(0, depth + change);
    form.classList.toggle("dropping", depth > 0);
  };
  form.addEventListener("dragenter", (event) => hasFiles(event) && inside(1));
  form.addEventListener("dragleave", (event) => hasFiles(event) && inside(-1));
  form.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  form.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    inside(-depth);
    const all = new DataTransfer();
    for (const file of [...input.files, ...event.dataTransfer.files]) all.items.add(file);
    input.files = all.files;
    look();
  });
}

function read(place) {
  try {
    return JSON.parse(localStorage.getItem(place));
  } catch {
    return null;
  }
}

function write(place, draft) {
  try {
    localStorage.setItem(place, JSON.stringify(draft));
  } catch {
    // The browser has no room, or none for us: the draft is in the page alone.
  }
}

function forgetDrafts(which) {
  for (const place of Object.keys(localStorage)) {
    if (place.startsWith(DRAFTS) && which(read(place))) localStorage.removeItem(place);
  }
}
