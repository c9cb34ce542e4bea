// From the page to the simulated Gmail and back. Each test leaves the mailbox connected.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ME, OTHER, letter, look, open, start, until } from "./harness.mjs";

let world;
let tab;
before(async () => {
  world = await start();
  tab = await open(world);
});
after(async () => {
  await world?.stop();
});

const ANN = "Ann Archer <ann@archer.example>";

/** Opens the conversation of a contact from the list. */
async function conversation(name) {
  await tab.page.goto("/");
  await until(`${name} is in the list`, () => tab.page.locator(".list").getByText(name).count());
  await tab.page.locator(".list a", { hasText: name }).click();
}

async function disconnect() {
  await tab.page.goto("/settings");
  await tab.page.getByRole("button", { name: "Disconnect…" }).click();
  for (const promise of ["Sync stops at once", "Messages that are here stay here"]) {
    assert.ok(await tab.page.getByText(promise).isVisible());
  }
  await tab.page.getByRole("button", { name: "Disconnect" }).click();
}

test("s10_a_message_appears_in_a_page_that_is_open", async () => {
  await tab.page.goto("/");
  await world.sim.deliver(letter({ from: ANN, subject: "Spring order", text: "Could you send the offer?" }));
  await until("the list shows it", () => tab.page.getByText("Spring order").count());
  await conversation("Ann Archer");
  await tab.page.locator("article", { hasText: "Could you send the offer?" }).waitFor();
});

test("a_conversation_is_found_by_the_contacts_name_and_by_a_subject", async () => {
  await tab.page.goto("/");
  await tab.page.getByRole("searchbox").fill("archer");
  await tab.page.getByRole("button", { name: "Find" }).click();
  await tab.page.getByText("Spring order").waitFor();
  await tab.page.getByRole("searchbox").fill("spring ORDER");
  await tab.page.getByRole("button", { name: "Find" }).click();
  await tab.page.locator(".list a", { hasText: "Ann Archer" }).waitFor();
  await tab.page.getByRole("searchbox").fill("nobody");
  await tab.page.getByRole("button", { name: "Find" }).click();
  await tab.page.getByText("No contact and no subject here has that.").waitFor();
});

test("s20_an_answer_goes_through_gmail_into_its_thread_and_is_shown_once", async () => {
  await conversation("Ann Archer");
  await tab.page.getByLabel("Text").fill("Here it is.");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await tab.page.getByRole("button", { name: "Send it now" }).click();
  await until("the page says it was sent", () => tab.page.locator("article.outbound", { hasText: "Sent." }).count());
  const messages = await world.sim.messages();
  const sent = messages.filter((message) => message.labelIds.includes("SENT"));
  assert.equal(sent.length, 1);
  const answered = messages.find((message) => message.messageId === sent[0].inReplyTo);
  assert.match(answered.from, /ann@archer\.example/);
  assert.equal(sent[0].threadId, answered.threadId);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  await tab.page.reload();
  assert.equal(await tab.page.locator("article", { hasText: "Here it is." }).count(), 1);
});

test("s17_a_star_set_here_is_in_gmail_within_a_second_and_one_set_there_comes_here", async () => {
  await conversation("Ann Archer");
  const article = tab.page.locator("article.inbound").first();
  await article.getByText("Actions").click();
  const pressed = Date.now();
  await article.getByRole("button", { name: "Star" }).click();
  const starred = async () => (await world.sim.messages()).some((message) => message.labelIds.includes("STARRED"));
  await until("Gmail has the star", starred);
  const took = Date.now() - pressed;
  console.log(`from the click to the label in Gmail: ${took} ms`);
  assert.ok(took < 1_000, `${took} ms`);
  const badge = tab.page.locator("article .badge", { hasText: "Starred" });
  await badge.waitFor();

  const message = (await world.sim.messages()).find((message) => message.labelIds.includes("STARRED"));
  await world.sim.relabel(message.id, { removeLabelIds: ["STARRED"] });
  await until("the open page has no star", async () => (await badge.count()) === 0);
});

test("a_mark_is_set_in_place_while_what_is_being_written_and_read_stays", async () => {
  await conversation("Ann Archer");
  await tab.page.evaluate(() => (window.sameDocument = true));
  await tab.page.getByLabel("Text").fill("Half a thought");
  const article = tab.page.locator("article.inbound").first();
  await article.getByText("Actions").click();
  await article.getByRole("button", { name: "Archive" }).click();
  await article.locator(".badge", { hasText: "Archived" }).waitFor();
  await article.getByRole("button", { name: "Move to inbox" }).waitFor();
  assert.equal(await tab.page.evaluate(() => window.sameDocument), true, "the page was not loaded anew");
  assert.equal(await tab.page.getByLabel("Text").inputValue(), "Half a thought");
  await article.getByRole("button", { name: "Move to inbox" }).click();
  await until("it is in the inbox again", async () => (await article.locator(".badge", { hasText: "Archived" }).count()) === 0);
  await tab.page.getByLabel("Text").fill("");
});

/** A file that is a little too large as it is, and so once it is encoded. */
const LARGE = { name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc((25 << 20) + 1) };

test("what_was_sent_too_quickly_is_undone_and_written_again", async () => {
  await conversation("Ann Archer");
  await tab.page.getByLabel("Text").fill("Too quick");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await tab.page.getByRole("button", { name: "Undo" }).click();
  await tab.page.getByText("Withdrawn before it was sent.").waitFor();
  await tab.page.getByRole("link", { name: "Write it again" }).click();
  assert.equal((await tab.page.getByLabel("Text").inputValue()).trim(), "Too quick");
  // Longer than it was held back.
  await tab.page.waitForTimeout(12_000);
  const sent = (await world.sim.messages()).filter((message) => message.labelIds.includes("SENT"));
  assert.equal(sent.length, 1);
  await tab.page.getByLabel("Text").fill("");
});

test("s22_bulk_mail_without_a_provider_says_so_and_stays_bulk_when_it_is_written_again", async () => {
  await tab.page.goto("/compose");
  await tab.page.getByLabel("To", { exact: true }).fill("ann@archer.example");
  await tab.page.getByLabel("Subject").fill("To many");
  await tab.page.getByLabel("Text").fill("Dear customers");
  await tab.page.locator("select[name=kind]").selectOption("bulk");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  const mail = tab.page.locator("article.outbound", { hasText: "Dear customers" });
  await until("it has failed", () => mail.getByRole("link", { name: "Write it again" }).count());
  await mail.getByRole("link", { name: "Write it again" }).click();
  assert.equal(await tab.page.locator("select[name=kind]").inputValue(), "bulk");
});

test("s20_an_answer_to_all_goes_to_all", async () => {
  await world.sim.deliver(letter({ from: ANN, subject: "For us all", text: "What do you all say?", headers: ["Cc: Carl <carl@carl.example>"] }));
  await conversation("Ann Archer");
  const mail = tab.page.locator("article", { hasText: "What do you all say?" });
  await until("it is there", () => mail.count());
  await mail.getByRole("link", { name: "Reply to all" }).click();
  assert.match(await tab.page.getByLabel("Cc", { exact: true }).inputValue(), /carl@carl\.example/);
  await tab.page.getByLabel("Text").fill("All agreed");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await tab.page.getByRole("button", { name: "Send it now" }).click();
  await until("it was sent", () => tab.page.locator("article.outbound", { hasText: "All agreed" }).getByText("Sent.").count());
});

test("t02_a_message_says_why_it_is_here", async () => {
  await conversation("Ann Archer");
  await tab.page.locator("article.inbound").first().getByRole("link", { name: "Why is this here?" }).click();
  await tab.page.getByText("Rule S10").waitFor();
  await tab.page.getByText("ann@archer.example").first().waitFor();
  await tab.page.getByRole("link", { name: "Back" }).click();
  await tab.page.locator("article.inbound").first().waitFor();
});

test("t06_a_private_conversation_takes_no_mail_until_it_is_opened_again", async () => {
  await conversation("Ann Archer");
  await tab.page.getByRole("button", { name: "Make private" }).click();
  await tab.page.getByText("This conversation is private").waitFor();
  await tab.page.getByRole("button", { name: "Open again" }).waitFor();
  await world.sim.deliver(letter({ from: ANN, subject: "Between us", text: "Nobody else should read this." }));
  await tab.page.goto("/settings");
  await tab.page.getByRole("button", { name: "Preview…" }).click();
  await tab.page.getByRole("button", { name: "Look" }).click();
  await tab.page.getByText("Kept out").first().waitFor();
  await until("the ledger says that it was kept out", async () => {
    await tab.page.goto("/operations?find=ann@archer.example");
    return tab.page.getByText("T06").count();
  });
  await conversation("Ann Archer");
  const secret = tab.page.locator("article", { hasText: "Nobody else should read this." });
  assert.equal(await secret.count(), 0);
  await tab.page.getByRole("button", { name: "Open again" }).click();
  await tab.page.getByRole("button", { name: "Make private" }).waitFor();
  await tab.page.getByLabel("Text").waitFor();
  assert.equal(await secret.count(), 0);
});

test("s12_a_message_is_forwarded_to_somebody_else", async () => {
  await conversation("Ann Archer");
  await tab.page.locator("article.inbound").first().getByRole("link", { name: "Forward" }).click();
  await tab.page.getByLabel("To", { exact: true }).fill("carl@carl.example");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await tab.page.getByRole("button", { name: "Send it now" }).click();
  await until("it was sent", () => tab.page.locator("article.outbound", { hasText: "Forwarded message" }).getByText("Sent.").count());
});

test("contacts_come_from_a_file", async () => {
  await tab.page.goto("/contacts");
  const file = { name: "contacts.csv", mimeType: "text/csv", buffer: Buffer.from("email,name\nnew@new.example,Nora New\nnowhere,Nobody\n") };
  await tab.page.locator("input[type=file]").setInputFiles(file);
  await tab.page.getByRole("button", { name: "Import" }).click();
  await tab.page.getByText("1 contacts were added.").waitFor();
  await tab.page.getByText("Line 3: nowhere is not an address.").waitFor();
  await look(tab.page, "imported");
  await tab.page.getByRole("link", { name: "Contacts", exact: true }).last().click();
  await tab.page.getByText("Nora New").waitFor();
});

test("s21_too_much_is_said_before_it_is_sent_and_is_not_sent", async () => {
  await conversation("Ann Archer");
  await tab.page.getByLabel("Text").fill("A very large file");
  await tab.page.locator("input[type=file]").setInputFiles(LARGE);
  await tab.page.getByText("That is too much for one message").waitFor();
  const asked = tab.page.waitForRequest((request) => request.url().endsWith("/send"), { timeout: 1_000 });
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await assert.rejects(asked);
  await tab.page.getByRole("button", { name: "Send", exact: true }).isEnabled();
});

test("s21_what_is_over_25_mb_is_refused_by_the_server_with_the_draft_kept", async () => {
  const sent = async () => (await world.sim.messages()).filter((message) => message.labelIds.includes("SENT")).length;
  const before = await sent();
  const plain = await open(world, { javaScriptEnabled: false });
  const place = new URL(tab.page.url()).pathname;
  await plain.page.goto(place);
  await plain.page.getByLabel("Text").fill("A very large file");
  await plain.page.locator("input[type=file]").setInputFiles(LARGE);
  await plain.page.getByRole("button", { name: "Send", exact: true }).click();
  await plain.page.getByText("too-large").waitFor();
  assert.equal(await plain.page.getByLabel("Text").inputValue(), "A very large file");
  assert.equal(await sent(), before);
  await plain.close();
});

test("a_draft_is_kept_in_the_browser_until_it_is_sent", async () => {
  await conversation("Ann Archer");
  const text = () => tab.page.getByLabel("Text");
  await text().fill("Half a thought");
  await tab.page.waitForTimeout(500);
  await tab.page.goto("/contacts");
  await conversation("Ann Archer");
  await until("the draft is there", async () => (await text().inputValue()) === "Half a thought");

  await tab.page.goto("/compose");
  await text().fill("Somebody will be chosen");
  await tab.page.getByLabel("Contact").selectOption({ index: 1 });
  await tab.page.waitForTimeout(500);
  await tab.page.goto("/compose");
  await until("the new mail is there", async () => (await text().inputValue()) === "Somebody will be chosen");
  assert.notEqual(await tab.page.getByLabel("Contact").inputValue(), "");
  await tab.page.getByRole("button", { name: "Discard it" }).click();
  await conversation("Ann Archer");
  await until("the draft is there still", async () => (await text().inputValue()) === "Half a thought");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await until("it was sent", () => tab.page.locator("article.outbound", { hasText: "Half a thought" }).getByText("Sent.").count());
  await tab.page.reload();
  assert.equal(await text().inputValue(), "");
});

test("files_that_are_dropped_on_the_form_are_attached", async () => {
  await conversation("Ann Archer");
  const files = await tab.page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["Dear Ann"], "letter.txt", { type: "text/plain" }));
    return transfer;
  });
  await tab.page.locator("form.write").dispatchEvent("drop", { dataTransfer: files });
  await tab.page.getByText("1 file, 0.0 MB as they are sent").waitFor();
  await tab.page.getByLabel("Text").fill("With a file");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  const article = tab.page.locator("article.outbound", { hasText: "With a file" });
  await until("it was sent", () => article.getByText("Sent.").count());
  assert.ok(await article.getByRole("link", { name: "letter.txt" }).isVisible());
});

test("s06_s02_s01_disconnecting_a_consent_that_lacks_a_box_and_one_that_does_not", async () => {
  await disconnect();
  await tab.page.getByRole("button", { name: "Connect Gmail" }).waitFor();
  await look(tab.page, "settings-unconnected");
  await world.sim.deliver(letter({ from: ANN, subject: "After the end", text: "Nobody syncs this." }));

  await world.sim.consent({ mode: "only", account: ME, scope: "openid https://www.googleapis.com/auth/userinfo.email" });
  await tab.page.getByRole("button", { name: "Connect Gmail" }).click();
  await tab.page.getByText("scope-missing").waitFor();
  assert.ok(await tab.page.getByText("read, write and send mail in Gmail").first().isVisible());
  await look(tab.page, "consent-incomplete");
  await tab.page.goto("/settings");
  await tab.page.getByRole("button", { name: "Connect Gmail" }).waitFor();
  assert.equal(await tab.page.locator(".card", { hasText: ME }).count(), 0);

  await world.sim.consent({ mode: "all", account: ME });
  await tab.page.getByRole("button", { name: "Connect Gmail" }).click();
  await tab.page.locator(".card", { hasText: ME }).getByText("Connected", { exact: true }).waitFor();
  await world.sim.deliver(letter({ from: ANN, subject: "After the beginning", text: "This is synced again." }));
  await conversation("Ann Archer");
  await until("mail comes in again", () => tab.page.locator("article", { hasText: "This is synced again." }).count());
  assert.equal(await tab.page.locator("article", { hasText: "Nobody syncs this." }).count(), 0);
  assert.ok(await tab.page.locator("article", { hasText: "Could you send the offer?" }).count());
});

test("s03_another_mailbox_than_the_one_asked_for_is_said", async () => {
  await disconnect();
  await world.sim.consent({ mode: "all", account: OTHER });
  await tab.page.getByLabel(/Gmail address/).fill(ME);
  await tab.page.getByRole("button", { name: "Connect Gmail" }).click();
  await tab.page.getByText(`${OTHER} was connected, but ${ME} was asked for.`).waitFor();
  await look(tab.page, "another-mailbox");
  await world.sim.consent({ mode: "all", account: ME });
  await tab.page.getByRole("button", { name: "Connect again" }).click();
  await tab.page.locator(".card", { hasText: ME }).waitFor();
});

test("s07_a_withdrawn_consent_is_shown_with_a_button_and_the_gap_is_synced", async () => {
  await tab.page.goto("/settings");
  await world.sim.ask("POST", "account", { email: ME, event: "consent-withdrawn" });
  const again = tab.page.getByRole("button", { name: "Connect again" });
  // The page that is open says so by itself.
  await until("the settings ask to connect again", () => again.count());
  await look(tab.page, "settings-reconnect");
  await world.sim.deliver(letter({ from: ANN, subject: "In the gap", text: "Are you there?" }));
  await world.sim.consent({ mode: "all", account: ME });
  await again.click();
  await tab.page.locator(".card", { hasText: ME }).getByText("Connected", { exact: true }).waitFor();
  await tab.page.goto("/");
  await until("what came meanwhile", () => tab.page.getByText("In the gap").count());
});

test("s05_another_address_takes_over_and_what_was_synced_stays", async () => {
  await tab.page.goto("/settings");
  await tab.page.getByText("Update the address").click();
  await world.sim.consent({ mode: "all", account: OTHER });
  await tab.page.getByLabel(/Gmail address/).fill(OTHER);
  await tab.page.getByRole("button", { name: "Update" }).click();
  await tab.page.locator(".card", { hasText: OTHER }).waitFor();
  await tab.page.locator("li", { hasText: ME }).getByText("disconnected").first().waitFor();
  await world.sim.deliver(letter({ from: ANN, to: OTHER, subject: "At the new address", text: "Hello" }), OTHER);
  await tab.page.goto("/");
  await until("new mail comes by the new address", () => tab.page.getByText("At the new address").count());
  await world.sim.deliver(letter({ from: ANN, subject: "At the old address", text: "Nobody is here any more." }));
  await conversation("Ann Archer");
  await tab.page.locator("article", { hasText: "Could you send the offer?" }).waitFor();
  await tab.page.waitForTimeout(3_000);
  assert.equal(await tab.page.locator("article", { hasText: "Nobody is here any more." }).count(), 0);
});

test("no_page_asked_for_anything_elsewhere_or_had_an_error", () => {
  assert.deepEqual(tab.seen.foreign, []);
  assert.deepEqual(tab.seen.dialogs, []);
  // What was refused on purpose is an error of the console too.
  const odd = tab.seen.errors.filter((error) => !/status of 400/.test(error));
  assert.deepEqual(odd, []);
});
