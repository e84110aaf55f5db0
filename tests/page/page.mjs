// Drives a browser through the page. Called by tests/page.rs: BROWSER SCENE URL PORT…, the ports of the nodes.
// A scene must end without an error, and without a word on the browser's console. PAGE_SCREENSHOT=1 makes the picture
// that README shows.

import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";

// NODE_PATH counts for require only.
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const [browserPath, scene, url, ...ports] = process.argv.slice(2);

// ---- helpers ------------------------------------------------------------------------------------------------------

function check(what, is) {
  if (!is) throw new Error(`not so: ${what}`);
}

/** Sends plain lines to a node, as nc does. */
function node(number, ...lines) {
  return new Promise((done, failed) => {
    const socket = net.connect(+ports[number - 1], "127.0.0.1", () => socket.write(`${lines.join("\n")}\nQUIT\n`));
    let said = "";
    socket.on("data", data => {
      said += data;
    });
    socket.on("end", () => done(said));
    socket.on("error", failed);
  });
}

const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
const told = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, ...options });
  const page = await context.newPage();
  page.on("console", message => told.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", error => told.push(`error: ${error.stack}`));
  page.on("dialog", dialog => told.push(`dialog: ${dialog.message()}`));
  await page.goto(url);
  return page;
}

const LONG = { timeout: 60_000 };
/** Waits until the one line at the top says this. */
const says = (page, pattern, options = LONG) =>
  page.waitForFunction(
    source => new RegExp(source).test(document.getElementById("now").textContent),
    pattern.source,
    options,
  );
/** The row of a key, as text. */
const row = (page, key) => page.locator("#keys tr", { has: page.locator(`td.key >> text="${key}"`) });
const differing = (page, index) => page.locator(".node").nth(index).locator(".map .differs").count();
/** Waits until all that has happened by now is drawn. */
async function redrawn(page) {
  const now = await page.evaluate(() => performance.now());
  await page.waitForFunction(now => timeline.drawn > now, now);
}
const isWide = page => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

// ---- scenes -------------------------------------------------------------------------------------------------------

const scenes = {
  async shows() {
    const page = await open();
    await says(page, /Both nodes hold the same: 0 keys differ/);
    // Within a second, once in three times at least: the machine may be busy.
    const isSeen = async value => {
      await node(1, `SET greeting ${value}`);
      const seen = row(page, "greeting").getByText(value).nth(1);
      return seen.waitFor({ timeout: 1000 }).then(
        () => true,
        () => false,
      );
    };
    check("a write is seen at once", (await isSeen("hello")) || (await isSeen("again")) || (await isSeen("once more")));

    // What is in keys and values is text.
    const hostile = "<img/src=x/onerror=alert(1)>";
    await node(1, `SET ${hostile} <script>alert(2)</script>`, 'SET "a\\x00\\xff" "\\xe2\\x80\\xaeevil"');
    await row(page, hostile).getByText("<script>alert(2)</script>").nth(1).waitFor();
    check("no element came from a key", (await page.locator("#keys img, #keys script").count()) === 0);

    // Cut, write both, mend.
    const [first, second] = [page.locator(".node").nth(0), page.locator(".node").nth(1)];
    await first.getByRole("button", { name: "Cut" }).click();
    await first.getByText("cut", { exact: true }).first().waitFor();
    await node(1, "SET colour red", "DEL greeting");
    await node(2, "SET colour blue");
    await says(page, /2 keys differ now.*1 tombstone waits for node2/);
    await page.waitForFunction(() => document.querySelectorAll(".map .differs").length === 4);
    check("both maps mark the same branches", (await differing(page, 0)) === 2 && (await differing(page, 1)) === 2);
    check("the row is marked", (await page.locator("#keys tr.differs").count()) === 2);
    // The next levels of a branch that differs.
    await first.locator(".map .differs").first().click();
    await first.getByText(/leaves of [0-9a-f]{2}/).waitFor();
    await first.locator(".map .differs").first().click();
    await first.getByText(/leaf [0-9a-f]{4}/).waitFor();
    await second
      .locator(".entries")
      .getByText(/blue|hello|again|once more/)
      .waitFor();
    await second.getByRole("button", { name: "One level up" }).click();
    await first.getByRole("button", { name: "One level up" }).click();
    await first.getByText("256 branches").waitFor();
    await second.getByRole("button", { name: "Mend" }).click();
    await says(page, /0 keys differ/);
    await page.waitForFunction(() => document.querySelectorAll(".map .differs").length === 0);
    await row(page, "colour").getByText("blue").nth(1).waitFor();
    await row(page, "colour").getByText("a write was lost").first().waitFor();
    await node(1, "SET colour green");
    await row(page, "colour").getByText("green").nth(1).waitFor();
    check("a newer version has lost nothing", (await row(page, "colour").getByText("a write was lost").count()) === 0);

    // Stop and start.
    await second.getByRole("button", { name: "Stop node2" }).click();
    await says(page, /Only node1 runs.*node2 is stopped/);
    check("no command for a stopped node", await second.getByRole("button", { name: "Run" }).isDisabled());
    await second.getByRole("button", { name: "Start node2" }).click();
    await says(page, /0 keys differ/);

    // The clock, and the delay.
    await second.getByRole("button", { name: "Clock +1 h" }).click();
    await second.getByText("1 h ahead").waitFor();
    await second.getByRole("button", { name: "Clock real" }).click();
    await second.getByText("as the machine's").waitFor();

    // A delete from the future waits for its time. The cards and the line at the top count the same.
    await second.getByRole("button", { name: "Clock +1 h" }).click();
    await second.getByText("1 h ahead").waitFor();
    await node(2, "SET ahead 1");
    await second.getByRole("button", { name: "Clock real" }).click();
    await second.getByText(/as the machine's/).waitFor();
    await second.getByText(/from \d\d:\d\d:\d\d\.\d+\+\d+ on: never back/).waitFor();
    await node(2, "DEL ahead");
    await says(page, /1 tombstone waits until its time has come, \d\d:\d\d:\d\d \(a clock ahead has written it\)/);
    // The hybrid clock of node2 is ahead, so there the delete has settled already.
    await says(page, /1 key differs now \(only whether a delete is settled\)/);
    await first.getByText(/1 waiting, \d+ settled/).waitFor();
    await second.getByRole("button", { name: "Stop node2" }).click();
    await second.getByRole("button", { name: "Start node2" }).click();
    await says(page, /0 keys differ.*1 tombstone waits until/);
    await second.getByRole("button", { name: "Delay 500 ms" }).click();
    await second.getByText("comes 500 ms late").waitFor();
    await second.getByRole("button", { name: "No delay" }).click();
    await second.getByRole("button", { name: "Delay 500 ms" }).waitFor();

    // Time: pause, step back, go on.
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#message").getByText(/node[12] → node[12]/).waitFor();
    await page.getByRole("button", { name: "◂ Step" }).click();
    const message = page.locator("#message");
    await message.getByText(/node[12] → node[12]: [A-Z]+/).waitFor();
    await redrawn(page);
    const arrow = await page.evaluate(() => {
      window.scrollTo(0, 0);
      // The arrow of a slow message leans: only its middle is sure to be on it.
      const { x, y, width, height } = document.querySelector("#time .near").getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    });
    await page.evaluate(() => {
      view.chosen = null;
    });
    await page.mouse.click(arrow.x, arrow.y);
    check("a click on an arrow goes there", await page.evaluate(() => view.chosen !== null && view.paused));
    check("a peer is told by its name", !/127\.0\.0\.1/.test(await message.textContent()));
    const last = await message.textContent();
    await page.getByRole("button", { name: "◂ Step" }).click();
    await page.waitForFunction(last => document.getElementById("message").textContent !== last, last);
    // What is shown lies back far enough.
    await page.waitForFunction(() => serverNow() - DELAY_MS > view.at + 100);
    await node(1, "SET later 1");
    await page.waitForFunction(() => known.states.some(state => JSON.stringify(state).includes('"later"')));
    await redrawn(page);
    check("the past does not change", (await row(page, "later").count()) === 0);
    await page.getByLabel("Speed").selectOption("0.1");
    check("another speed leaves it paused", await page.getByRole("button", { name: "Go on" }).isVisible());
    await page.evaluate(() => goTo(known.messages[0]));
    await page.getByText(/The page has watched since \d\d:\d\d:\d\d/).waitFor();
    check("there is no step before the first", await page.getByRole("button", { name: "◂ Step" }).isDisabled());
    await page.getByRole("button", { name: "Live" }).click();
    await row(page, "later").waitFor();
    await page.getByLabel("Speed").selectOption("0.01");
    await page.waitForFunction(() => /behind/.test(document.getElementById("when").textContent));
    await page.getByRole("button", { name: "Live" }).click();
  },

  async keyboard() {
    const page = await open({ viewport: { width: 400, height: 800 }, colorScheme: "dark", reducedMotion: "reduce" });
    await says(page, /0 keys differ/);
    check("400 pixels are wide enough", !(await isWide(page)));
    const dark = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    /** Presses Tab until what has the focus fits. */
    const tabTo = async name => {
      for (let n = 0; n < 120; n++) {
        await page.keyboard.press("Tab");
        const [label, outline] = await page.evaluate(() => {
          const at = document.activeElement;
          return [at.getAttribute("aria-label") || at.textContent, getComputedStyle(at).outlineStyle];
        });
        if (label.includes(name)) {
          check(`the focus on ${name} is visible`, outline !== "none");
          return;
        }
      }
      throw new Error(`no Tab leads to ${name}`);
    };
    await tabTo("Stop node1");
    await tabTo("00: empty");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.getByText("leaves of 11").first().waitFor();
    await page.keyboard.press("Escape");
    await tabTo("A command for node1");
    await page.keyboard.type("SET typed by-hand");
    await page.keyboard.press("Enter");
    await row(page, "typed").getByText("by-hand").nth(1).waitFor();
    await tabTo("Stop node2");
    await page.keyboard.press("Enter");
    await says(page, /node2 is stopped/);
    await page.keyboard.press("Enter");
    await says(page, /0 keys differ/);
    await page.getByRole("tab").first().focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText("Why are tombstones needed?").waitFor();
    await tabTo("Write cut:book");
    await page.keyboard.press("Enter");
    await page.locator(".steps .done").first().waitFor();
    await node(1, `SET ${"k".repeat(300)} ${"v".repeat(3000)}`);
    await row(page, `${"k".repeat(64)}… (300 bytes)`).waitFor();
    check("long keys do not widen it", !(await isWide(page)));
    check(
      "labels",
      await page.evaluate(() =>
        [...document.querySelectorAll("button, input, select, svg, [role]")].every(
          part =>
            part.closest("[hidden]") ||
            part.getAttribute("aria-label") ||
            part.getAttribute("aria-labelledby") ||
            part.closest("label") ||
            part.textContent.trim() ||
            part.getAttribute("role") === "log" ||
            part.getAttribute("role") === "status",
        ),
      ),
    );
    await page.emulateMedia({ colorScheme: "light" });
    const light = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    check(`dark (${dark}) and light (${light}) differ`, dark !== light);
  },

  async experiments() {
    const page = await open();
    await says(page, /0 keys differ/);
    const seen = [];
    for (let n = 1; n <= 5; n++) {
      await page.getByRole("tab", { name: new RegExp(`^${n} `) }).click();
      await page.getByRole("button", { name: "Run all" }).click();
      await page.waitForFunction(
        () =>
          trials.all[trials.open].wrong || trials.all[trials.open].done === trials.all[trials.open].plan.steps.length,
        null,
        LONG,
      );
      const items = await page.locator(".seen li").allTextContents();
      check(
        `experiment ${n} ends well: ${items.join(" | ")}`,
        (await page.locator(".seen .wrong").count()) === 0 && items.length > 0,
      );
      check("its lesson is shown", await page.locator(".lesson").isVisible());
      seen.push(items.join("\n"));
    }
    const saw = (n, pattern) => check(`experiment ${n} saw ${pattern}: ${seen[n - 1]}`, pattern.test(seen[n - 1]));
    saw(1, /away:fruit "pear", away:new "1", away:colour (deleted|absent)/);
    saw(2, /During the cut node1 held: deleted; node2 held: "here"/);
    saw(2, /After the cut node2 held: (deleted|absent)/);
    saw(3, /"Paris", node2 "Rome"[^]*was lost/);
    saw(4, /the write that really came later was lost[^]*as the machine's/);
    saw(5, /Between equal nodes: \d+ bytes a round \(.*DIGEST.*\)/);
    saw(5, /Now 0 keys differ/);
  },

  /** Without tombstones a delete is undone, and the experiment says so. */
  async forgetful() {
    const page = await open();
    await says(page, /0 keys differ/);
    await page.getByRole("tab", { name: /^2 / }).click();
    await page.getByRole("button", { name: "Run all" }).click();
    await page.getByText("done", { exact: true }).waitFor(LONG);
    await page.getByText(/node2 brought the book back: node1 holds "here" again, though it was deleted/).waitFor();
  },

  /** An experiment tells nothing of what happened before it. */
  async again() {
    const page = await open();
    await says(page, /0 keys differ/);
    // Either node notices a conflict, as it happens. Both are to know an old one.
    const know = async number => /was lost/.test(await node(number, "CONFLICTS KEY both:city"));
    for (let n = 0; n < 30 && !((await know(1)) && (await know(2))); n++) {
      await node(2, "CUT node1");
      await node(1, `SET both:city old-${n}`);
      await node(2, `SET both:city older-${n}`);
      await node(2, "MEND node1");
      await node(1 + (n % 2), "SYNC");
      await says(page, /0 keys differ/);
    }
    await page.getByRole("tab", { name: /^3 / }).click();
    for (const run of ["Run all", "Again"]) {
      await page.getByRole("button", { name: run }).click();
      await page.waitForFunction(() => !trials.all[2].busy && trials.all[2].done === 5, null, LONG);
      const noticed = (await page.locator(".seen li").allTextContents()).filter(text => /noticed: /.test(text));
      check("some node has noticed it", noticed.length > 0);
      const version = await row(page, "both:city").locator(".version").first().textContent();
      check(
        `what is told is of this run: ${noticed.join(" | ")}`,
        noticed.every(text => text.includes(`"Rome" (${version.split("+")[0]},`)),
      );
    }
  },

  async secret() {
    const page = await open();
    await page.locator("#secret").fill("open-sesame-open-sesame");
    await page.keyboard.press("Enter");
    await says(page, /0 keys differ/);
    await page.getByLabel("A command for node1").fill("SET k v");
    await page.keyboard.press("Enter");
    await row(page, "k").getByText("v", { exact: true }).nth(1).waitFor();
    check("it is in no address", !page.url().includes("sesame"));
    check("it outlives no tab", await page.evaluate(() => localStorage.length === 0 && document.cookie === ""));
  },

  async load() {
    const page = await open();
    await says(page, /0 keys differ/);
    let writing = true;
    const writer = (async () => {
      for (let n = 0; writing; n++) {
        await node(1, ...Array.from({ length: 50 }, (_, i) => `SET key:${(50 * n + i) % 500} ${n}`));
        await new Promise(done => setTimeout(done, 40));
      }
    })();
    await page.waitForFunction(() => /× \d/.test(document.getElementById("net").textContent), null, LONG);
    await page.waitForTimeout(3000);
    const [rows, dots, arrows] = await page.evaluate(() => [
      document.querySelectorAll("#keys tr").length,
      document.querySelectorAll("#net .dot").length,
      document.querySelectorAll("#time .arrow").length,
    ]);
    writing = false;
    await writer;
    check(
      `few enough to look at: ${rows} rows, ${dots} dots, ${arrows} arrows`,
      rows <= 50 && dots <= 40 && arrows <= 1000,
    );
    const frames = await page.evaluate(
      () =>
        new Promise(done => {
          let count = 0;
          const next = () => {
            count += 1;
            requestAnimationFrame(next);
          };
          requestAnimationFrame(next);
          setTimeout(() => done(count), 1000);
        }),
    );
    check(`it moves: ${frames} frames a second`, frames >= 5);
    await says(page, /0 keys differ/);
  },

  /** The picture for README: a cut, with what differs. */
  async picture() {
    await node(1, "SET fruit pear", "SET city Oslo", "SET book here", "SET tea Assam", "SETEX offer 90 today");
    const page = await open();
    await row(page, "tea").waitFor();
    await page.getByRole("tab", { name: /^2 / }).click();
    for (const step of [/Write cut:book/, /Cut node2 off/, /Delete cut:book/]) {
      await page.getByRole("button", { name: step }).click();
      await page.waitForFunction(() => !trials.all[trials.open].busy);
    }
    await node(1, "SET city Paris");
    await node(2, "SET city Rome", "SET new here");
    await says(page, /3 keys differ/);
    if (process.env.PAGE_SCREENSHOT) {
      await page.waitForTimeout(1200);
      const here = path.dirname(new URL(import.meta.url).pathname);
      await page.screenshot({ path: path.join(here, "page.png"), fullPage: true });
    }
    await page.getByRole("button", { name: "Mend the cut" }).click();
    await says(page, /0 keys differ/);
  },

  async alone() {
    const page = await open();
    await says(page, /node1 holds 0 keys. What its peers hold is not known from here/);
    await page.getByText("The experiments need two nodes in one process").waitFor();
    await node(1, "SET k v");
    await says(page, /node1 holds 1 key\./);
  },
};

// ---- the run ------------------------------------------------------------------------------------------------------

try {
  check(`there is a scene ${scene}`, scenes[scene]);
  await scenes[scene]();
  check(`the console is empty: ${told.join("\n")}`, told.length === 0);
  console.log("done");
} catch (error) {
  console.error(error.stack, "\non the console:", told);
  process.exitCode = 1;
} finally {
  await browser.close();
}
