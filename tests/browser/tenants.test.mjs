// A server with accounts: the sign-in, and two tenants beside each other on one mailbox's server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CONTACTS, ME, OTHER, letter, look, open, serve, until } from "./harness.mjs";

const PASSWORD = "correct horse battery";
const [ANN] = CONTACTS;
let world;
const tabs = {};
before(async () => {
  world = await serve([
    { login: "home@twinbox.example", tenant: "home", password: PASSWORD },
    { login: "acme@twinbox.example", tenant: "acme", password: PASSWORD },
  ]);
});
after(async () => {
  await world?.stop();
});

async function signIn(page, login, password = PASSWORD) {
  await page.getByLabel("Login").fill(login);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("without_an_account_there_is_the_sign_in_and_nothing_else", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      const tab = await open(world, { colorScheme, viewport: { width, height: 740 } });
      await tab.page.goto("/contacts");
      assert.equal(new URL(tab.page.url()).pathname, "/sign-in");
      await look(tab.page, `sign-in-${colorScheme}-${width}`);
      await tab.close();
    }
  }
});

test("a_wrong_password_is_refused_and_the_right_one_leads_where_one_wanted_to_go", async () => {
  const tab = await open(world);
  await tab.page.goto("/contacts");
  await signIn(tab.page, "home@twinbox.example", "a wrong password");
  await tab.page.getByText("sign-in-wrong").waitFor();
  await signIn(tab.page, "home@twinbox.example");
  await tab.page.getByRole("heading", { name: "Contacts", exact: true }).waitFor();
  assert.equal(new URL(tab.page.url()).pathname, "/contacts");
  await tab.close();
});

test("s01_each_tenant_connects_a_mailbox_and_adds_a_contact", async () => {
  for (const [tenant, mailbox] of [["home", ME], ["acme", OTHER]]) {
    const tab = (tabs[tenant] = await open(world));
    await tab.page.goto("/contacts");
    await signIn(tab.page, `${tenant}@twinbox.example`);
    await tab.page.getByLabel("Name").fill(`${ANN[0]} of ${tenant}`);
    await tab.page.getByLabel("Addresses, separated by commas").fill(ANN[1]);
    await tab.page.getByRole("button", { name: "Add" }).click();
    await world.sim.consent({ mode: "all", account: mailbox });
    await tab.page.goto("/settings");
    await tab.page.getByRole("button", { name: "Connect Gmail" }).click();
    await tab.page.locator(".card", { hasText: mailbox }).getByText("Connected", { exact: true }).waitFor();
  }
});

test("s33_two_tenants_beside_each_other_see_their_own_mail_and_nothing_of_the_other", async () => {
  const from = `${ANN[0]} <${ANN[1]}>`;
  await world.sim.deliver(letter({ from, subject: "For home alone", text: "Hello home" }), ME);
  await world.sim.deliver(letter({ from, to: OTHER, subject: "For acme alone", text: "Hello acme" }), OTHER);
  for (const [tenant, other] of [["home", "acme"], ["acme", "home"]]) {
    const { page } = tabs[tenant];
    await page.goto("/");
    await until(`mail of ${tenant}`, () => page.getByText(`For ${tenant} alone`).count());
    for (const path of ["/", "/contacts", "/settings"]) {
      await page.goto(path);
      assert.ok(!(await page.content()).includes(other), `${tenant} reads of ${other} at ${path}`);
    }
  }
  const theirs = await tabs.acme.page.goto("/").then(() => tabs.acme.page.locator(".list a").first().getAttribute("href"));
  const answer = await tabs.home.page.goto(theirs);
  assert.equal(answer.status(), 404);
});

test("s31_of_two_tenants_on_one_mailbox_the_one_who_replies_keeps_the_contact", async () => {
  const { page } = tabs.acme;
  await page.goto("/settings");
  await page.getByRole("button", { name: "Disconnect…" }).click();
  await page.getByRole("button", { name: "Disconnect" }).click();
  await world.sim.consent({ mode: "all", account: ME });
  await page.getByRole("button", { name: "Connect Gmail" }).click();
  await page.locator(".card", { hasText: ME }).getByText("Connected", { exact: true }).waitFor();

  const from = `${ANN[0]} <${ANN[1]}>`;
  await world.sim.deliver(letter({ from, subject: "Who answers first?", text: "Hello both" }), ME);
  for (const tenant of ["home", "acme"]) {
    await tabs[tenant].page.goto("/");
    await until(`${tenant} has the mail`, () => tabs[tenant].page.getByText("Who answers first?").count());
  }
  const { page: home } = tabs.home;
  await home.locator(".list a").first().click();
  await home.getByLabel("Text").fill("We do");
  await home.getByRole("button", { name: "Send", exact: true }).click();
  await home.getByRole("button", { name: "Send it now" }).click();
  await until("home sent it", () => home.locator("article.outbound", { hasText: "We do" }).getByText("Sent.").count());
  // Gmail tells its time in whole seconds: what comes within the second of the answer may have come before it.
  await new Promise((passed) => setTimeout(passed, 1_100));
  await world.sim.deliver(letter({ from, subject: "To the one who answered", text: "Thank you" }), ME);
  await until("home goes on", () => home.locator("article", { hasText: "Thank you" }).count());
  await page.goto("/");
  await page.locator(".list a").first().click();
  await until("acme is told", async () => {
    await page.reload();
    return page.getByText("This conversation is no longer synced").count();
  });
  assert.equal(await page.getByText("To the one who answered").count(), 0);
  assert.equal(await page.getByText("We do").count(), 0);
  assert.ok(!(await page.content()).includes("home"), "acme reads of home");
});

test("signing_out_ends_the_session_and_leaves_no_draft_behind", async () => {
  const { page } = tabs.home;
  await page.goto("/");
  await page.locator(".list a").first().click();
  await page.getByLabel("Text").fill("A secret draft");
  await until("the draft is kept", () => page.evaluate(() => Object.keys(localStorage).length === 1));
  await page.goto("/settings");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0);
  await page.goto("/");
  assert.equal(new URL(page.url()).pathname, "/sign-in");
});
