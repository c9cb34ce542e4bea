// What happens is told to a server, which checks it with the reference library of Standard Webhooks.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { letter, open, start, until } from "./harness.mjs";

let world;
let tab;
let receiver;
/** What was told, as it came. */
const told = [];
/** What the server answers with. */
let answer = 204;
before(async () => {
  world = await start();
  tab = await open(world);
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    told.push({ body, headers: request.headers });
    response.writeHead(answer).end();
  });
  await new Promise((ready) => receiver.listen(0, "127.0.0.1", ready));
});
after(async () => {
  receiver?.close();
  await world?.stop();
});

test("a_server_that_is_named_on_the_page_is_told_signed_and_tried_again", async () => {
  const url = `http://127.0.0.1:${receiver.address().port}/hook`;
  await tab.page.goto("/operations");
  await tab.page.getByLabel("Address", { exact: true }).fill(url);
  await tab.page.getByRole("button", { name: "Add a webhook" }).click();
  const secret = await tab.page.locator("#webhook-secret").textContent();
  const webhook = new Webhook(secret);

  answer = 503;
  await world.sim.deliver(letter({ from: "Ann Archer <ann@archer.example>", subject: "Spring order", text: "Between the two of us." }));
  await until("it was told and refused", () => told.length >= 1);
  answer = 204;
  await until("it was told again", () => told.length >= 2, 20_000);
  const events = told.map(({ body, headers }) => webhook.verify(body, headers));
  assert.equal(told[0].headers["webhook-id"], told[1].headers["webhook-id"]);
  assert.equal(events[0].type, "message.created");
  assert.equal(events[0].data.direction, "inbound");
  assert.ok(!told[0].body.includes("Spring") && !told[0].body.includes("Between"), "nothing of what it says");
  assert.throws(() => webhook.verify(told[0].body.replace("inbound", "outbound"), told[0].headers));

  const seen = told.length;
  await tab.page.goto("/");
  await until("the list shows it", () => tab.page.getByText("Spring order").count());
  await tab.page.locator(".list a", { hasText: "Ann Archer" }).click();
  const article = tab.page.locator("article.inbound", { hasText: "Between the two of us." });
  await article.getByText("Actions").click();
  await article.getByRole("button", { name: "Star" }).click();
  const changed = () => told.slice(seen).map(({ body, headers }) => webhook.verify(body, headers)).find((event) => event.data.starred);
  await until("the star is told", changed);
  assert.equal(changed().type, "message.updated");
  assert.equal(changed().data.message, events[0].data.message);

  await tab.page.goto("/operations");
  await tab.page.getByText("Working").waitFor();
  await tab.page.getByRole("button", { name: "Remove" }).click();
  await until("it is gone", async () => (await tab.page.getByText(url).count()) === 0);
});
