// A simulated Gmail, a demo over it, and Chromium before its pages. What a test needs of each, and nothing else.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";

const ROOT = new URL("../..", import.meta.url).pathname;
const BIN = process.env.TWINBOX_BIN ?? join(ROOT, "target/debug");
const COMPONENT = process.env.COMPONENT ?? join(ROOT, "target/components/twinbox.wasm");
export const SCREENSHOTS = join(ROOT, "target/screenshots");

export const ME = "me@twinbox.example";
export const OTHER = "second@twinbox.example";

/** Contacts of the demo: name and address. */
export const CONTACTS = [
  ["Ann Archer", "ann@archer.example"],
  ["Bilal Baker", "bilal@baker.example"],
  ["Mallory", "mallory@evil.example"],
];

/** A demo, which is open to everybody, until `stop`. */
export async function start() {
  const folder = mkdtempSync(join(tmpdir(), "twinbox-browser-"));
  const csv = join(folder, "contacts.csv");
  writeFileSync(csv, ["name,email", ...CONTACTS.map((row) => row.join(","))].join("\n"));
  return world((gmail, listen) => {
    const options = ["--contacts", csv, "--gmail", gmail, "--listen", listen, "--every", "86400"];
    return run("twinbox", ["demo", "--mailbox", ME, "--plugin", COMPONENT, ...options], /twinbox_[\w-]+/);
  });
}

/** A server with these accounts, until `stop`. */
export async function serve(accounts) {
  const folder = mkdtempSync(join(tmpdir(), "twinbox-browser-"));
  const config = join(folder, "twinbox.toml");
  return world((gmail, listen) => {
    const paths = { authorize: "/o/oauth2/v2/auth", token: "/token", revoke: "/revoke", jwks: "/oauth2/v3/certs", userinfo: "/v1/userinfo" };
    writeFileSync(join(folder, "secret"), "twinbox-demo-secret");
    const lines = [
      `listen = "${listen}"`,
      `public_url = "http://${listen}"`,
      `plugin = "${COMPONENT}"`,
      "poll_seconds = 1",
      "[google]",
      'client_id = "twinbox-demo"',
      'client_secret_file = "secret"',
      "[origins]",
      `api = "${gmail}"`,
      ...Object.entries(paths).map(([name, path]) => `${name} = "${gmail}${path}"`),
    ];
    writeFileSync(config, lines.join("\n"));
    for (const { login, tenant, password } of accounts) {
      const options = ["user", "add", login, "--tenant", tenant, "--password-stdin", "--config", config];
      const { status, stderr } = spawnSync(join(BIN, "twinbox"), options, { input: `${password}\n` });
      if (status !== 0) throw new Error(`${login}: ${stderr}`);
    }
    return run("twinbox", ["serve", "--config", config], /Twinbox serves/);
  });
}

/** A simulated Gmail, what `begin` starts over it, and a browser. */
async function world(begin) {
  const gmail = await run("gmail-sim", ["--port", "0", "--user", ME, "--user", OTHER], /http:\/\/[\d.]+:\d+/);
  const listen = `127.0.0.1:${await freePort()}`;
  const twinbox = await begin(gmail.said, listen);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  await until("the pages answer", () => fetch(`http://${listen}/healthz`).then((answer) => answer.ok, () => false));
  return {
    origin: `http://${listen}`,
    sim: simulator(gmail.said),
    browser,
    async stop() {
      await browser.close();
      twinbox.child.kill();
      gmail.child.kill();
    },
  };
}

/** A page that notes what it asks for elsewhere and what it says, and gets nothing from elsewhere. */
export async function open(world, options = {}) {
  const context = await world.browser.newContext({ baseURL: world.origin, ...options });
  const page = await context.newPage();
  const seen = { foreign: [], errors: [], dialogs: [] };
  const gmail = new URL(world.sim.origin).host;
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    // The consent page is Google's: the one other place this browser may go to, as a page of its own.
    const consent = url.host === gmail && route.request().isNavigationRequest();
    if (url.origin === world.origin || url.protocol === "data:" || consent) return route.continue();
    seen.foreign.push(url.href);
    return route.abort();
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (line) => line.type() === "error" && seen.errors.push(line.text()));
  page.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    return dialog.dismiss();
  });
  return { page, seen, close: () => context.close() };
}

/** Asks until it is so. */
export async function until(what, question, patience = 20_000) {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not so after ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let letters = 0;
/** A message as bytes on the wire. */
export function letter({ from, to = ME, subject, html, text, headers = [] }) {
  const id = `<${(letters += 1)}.${process.pid}@mail.example>`;
  const body = html === undefined ? ["text/plain", text ?? ""] : ["text/html", html];
  const lines = [`From: ${from}`, `To: ${to}`, `Subject: ${subject}`, `Message-ID: ${id}`, ...headers, "MIME-Version: 1.0"];
  return [...lines, `Content-Type: ${body[0]}; charset=utf-8`, "", body[1], ""].join("\r\n");
}

/** A page as it is now: a picture, and no serious finding of axe; the lesser ones, a line each. */
export async function look(page, name) {
  await screenshot(page, name);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { iframes: false }));
  const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" ").slice(0, 300)}`);
  assert.deepEqual(found.filter((line) => /^(serious|critical)/.test(line)), []);
  return found;
}

/** Writes a screenshot of the whole page. */
async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

function simulator(origin) {
  const ask = async (method, path, body) => {
    const json = typeof body !== "string";
    const answer = await fetch(`${origin}/sim/${path}`, {
      method,
      body: body === undefined ? undefined : json ? JSON.stringify(body) : body,
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json().catch(() => null);
  };
  let number = 0;
  return {
    origin,
    ask,
    deliver: (raw, mailbox = ME) => ask("POST", `deliver?mailbox=${mailbox}&key=k${(number += 1)}`, raw),
    messages: async (mailbox = ME) => (await ask("GET", `mailboxes/${mailbox}`)).messages,
    /** Changes labels as the user's own mail program does. */
    async relabel(id, change, mailbox = ME) {
      const scope = "https://www.googleapis.com/auth/gmail.modify";
      const { access_token: token } = await ask("POST", "tokens", { email: mailbox, scope });
      const answer = await fetch(`${origin}/gmail/v1/users/me/messages/${id}/modify`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(change),
      });
      if (!answer.ok) throw new Error(`modify: ${answer.status} ${await answer.text()}`);
    },
    consent: (consent) => ask("PUT", "consent", consent),
  };
}

async function run(program, options, wanted) {
  const child = spawn(join(BIN, program), options, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  const said = await new Promise((resolve, reject) => {
    child.stdout.on("data", (bytes) => {
      out += bytes;
      const found = out.match(wanted);
      if (found) resolve(found[0]);
    });
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}: ${out}`)));
  });
  return { child, said };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
