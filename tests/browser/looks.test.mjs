// Every page, light and dark, narrow and wide: a screenshot, no serious finding of axe, nothing wider than the window.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { letter, look, open, start, until } from "./harness.mjs";

let world;
const pages = {
  conversations: "/",
  contacts: "/contacts",
  compose: "/compose",
  settings: "/settings",
  operations: "/operations?find=ann@archer.example",
  "not-found": "/nowhere",
  api: "/api",
};
before(async () => {
  world = await start();
  const mail = [
    { from: "Ann Archer <ann@archer.example>", subject: "Spring order", text: "Could you send the offer for the spring order?\n\n> On Monday you wrote:\n> It is nearly ready.", headers: ["Cc: Carl <carl@archer.example>"] },
    { from: "Bilal Baker <bilal@baker.example>", subject: "Question about the invoice", html: "<p>Hello,</p><p>there is <b>one line</b> on the invoice that we do not know.</p><p>Bilal</p>" },
    { from: "Mallory <mallory@evil.example>", subject: "You have won", html: "<p>Look:</p><img src=https://evil.example/p.gif>" },
  ];
  for (const one of mail) await world.sim.deliver(letter(one));
  const tab = await open(world);
  await tab.page.goto("/");
  await until("the mail is there", async () => (await tab.page.locator(".list li").count()) === 3);
  for (const [name, who] of [["conversation", "Bilal Baker"], ["conversation-text", "Ann Archer"]]) {
    pages[name] = await tab.page.locator(".list a", { hasText: who }).getAttribute("href");
  }
  await tab.page.goto("/settings");
  const connection = await tab.page.locator("form[action='/settings/disconnect'] input[name=connection]").getAttribute("value");
  for (const name of ["disconnect", "privacy"]) pages[name] = `/settings/${name}?connection=${connection}`;
  pages.preview = `/settings/preview?connection=${connection}&days=7`;
  pages.domain = "/settings/domain";
  pages["set-aside"] = `/operations?aside=${connection}`;
  await tab.page.goto("/operations");
  await tab.page.getByLabel("Address", { exact: true }).fill("http://127.0.0.1:9/hook");
  await tab.page.getByRole("button", { name: "Add a webhook" }).click();
  await tab.page.goto(pages["conversation-text"]);
  pages.why = await tab.page.getByRole("link", { name: "Why is this here?" }).first().getAttribute("href");
  pages.forward = await tab.page.getByRole("link", { name: "Forward" }).first().getAttribute("href");
  pages["reply-all"] = await tab.page.getByRole("link", { name: "Reply to all" }).first().getAttribute("href");
  await tab.close();
});
after(async () => {
  await world?.stop();
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1280]) {
    test(`pages_${colorScheme}_at_${width}_px`, async (t) => {
      const viewport = { width, height: width === 360 ? 740 : 800 };
      const tab = await open(world, { colorScheme, viewport, reducedMotion: "reduce" });
      for (const [name, path] of Object.entries(pages)) {
        await t.test(name, async () => {
          await tab.page.goto(path, { waitUntil: "load" });
          await tab.page.waitForTimeout(150);
          for (const line of await look(tab.page, `${name}-${colorScheme}-${width}`)) t.diagnostic(line);
          const { inner, whole } = await tab.page.evaluate(() => ({ inner: innerWidth, whole: document.documentElement.scrollWidth }));
          assert.ok(whole <= inner, `${whole} px in a window of ${inner} px`);
        });
      }
      assert.deepEqual(tab.seen.foreign, []);
      await tab.close();
    });
  }
}

test("everything_is_reached_by_the_keyboard", async () => {
  const tab = await open(world);
  await tab.page.goto(pages.conversation);
  const reached = new Set();
  for (let step = 0; step < 80; step += 1) {
    await tab.page.keyboard.press("Tab");
    const at = await tab.page.evaluate(() => {
      const active = document.activeElement;
      return active === document.body ? "" : `${active.tagName} ${active.textContent.trim().slice(0, 20) || active.name || ""}`;
    });
    reached.add(at);
  }
  for (const wanted of ["A Contacts", "A Settings", "SUMMARY Actions", "BUTTON Send", "TEXTAREA text"]) {
    assert.ok([...reached].some((at) => at.startsWith(wanted)), `${wanted} is not among ${[...reached].join(", ")}`);
  }
  await tab.close();
});
