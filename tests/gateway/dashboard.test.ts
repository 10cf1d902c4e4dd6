import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createClient } from "../../src/index.ts";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { launchChromium } from "./chromium.ts";
import { TOKEN } from "./gateway-support.ts";
import { type Served, serve } from "./serve-support.ts";

vi.setConfig({ testTimeout: 240_000 });

const KEYS = 6_000;
/** A folder: the screenshots of the documentation are made there. */
const SCREENSHOTS = process.env.SCREENSHOTS;

let cluster: LocalCluster;
let served: Served;
let browser: Browser;
let page: Page;
let traffic: Promise<number> | undefined;
let stopped = false;
const complaints: string[] = [];

beforeAll(async () => {
  cluster = await LocalCluster.start();
  const redis = cluster.redis.url;
  await initCluster(
    cluster.servers.map((address) => ({ address })),
    { redis },
  );
  const client = await createClient({ redis });
  await client.setMulti(Array.from({ length: KEYS }, (_, i): [string, string] => [`key${i}`, `value ${i}`]));
  await client.quit();
  served = await serve(["--redis", redis, "--set", "migration.keysPerSecond=100"]);
  traffic = readAllTheTime();
  browser = await launchChromium();
  page = await browser.newPage({ viewport: { width: 1440, height: 960 }, colorScheme: "light" });
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(served.admin) && !request.url().startsWith("data:"))
      complaints.push(`asked ${request.url()}`);
  });
  await page.goto(served.admin);
}, 300_000);

afterAll(async () => {
  stopped = true;
  await traffic;
  await browser?.close();
  await served?.end("SIGTERM");
  await cluster?.stop();
});

/** Reads of keys that are all there, until the end; how many were not answered with their value. */
async function readAllTheTime(): Promise<number> {
  let failed = 0;
  for (let i = 0; !stopped; i = (i + 1) % KEYS) {
    const response = await fetch(`${served.data}/key${i}`);
    const { value } = (await response.json()) as { value?: string };
    if (value !== `value ${i}`) failed++;
    await sleep(2);
  }
  return failed;
}

async function screenshot(name: string): Promise<void> {
  if (SCREENSHOTS !== undefined) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}
const text = (id: string) => page.locator(`#${id}`).innerText();
const read = (id: string, pattern: RegExp) =>
  page.waitForFunction(
    ([name, source]) => new RegExp(source!).test(document.getElementById(name!)?.textContent ?? ""),
    [id, pattern.source],
  );

/** Every state has another number of requests: keys are read all the time. */
async function nextState(): Promise<void> {
  const before = await text("summary");
  await page.waitForFunction((text) => document.getElementById("summary")?.textContent !== text, before);
}

/** A page of its own, whose errors are returned; `prepare` puts answers in the place of the gateway's. */
async function withPage(prepare: (other: Page) => Promise<unknown>, work: (other: Page) => Promise<void>) {
  const other = await browser.newPage();
  const thrown: string[] = [];
  other.on("pageerror", (error) => thrown.push(String(error)));
  try {
    await prepare(other);
    await other.goto(served.admin);
    await work(other);
  } finally {
    await other.close();
  }
  return thrown;
}

test("shows the nodes and the ring, live", async () => {
  await read("connection", /Live/);
  await read("summary", /3 of 3 nodes up/);
  expect(await page.locator("#nodes tbody tr").count()).toBe(3);
  expect(await page.locator("#ring path").count()).toBe(3);
  expect(await text("ring-text")).toBe("No arc is moving.");
  expect(await page.locator("#traffic-chart canvas, #keys-chart canvas").count()).toBe(2);
  await read("summary", /[1-9]\d* requests/);
});

test("the ring's table says what the drawing shows, and opens by keyboard", async () => {
  await page.locator("details summary").focus();
  await page.keyboard.press("Enter");
  const cells = await page.locator("#ring-table tbody tr td:nth-child(4)").allInnerTexts();
  const shares = cells.map((cell) => Number.parseFloat(cell));
  expect(shares).toHaveLength(3);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 0);
  await page.keyboard.press("Enter");
});

test("a ring that was refused is asked for again", async () => {
  let asked = 0;
  const refused = { status: 429, json: { code: "RATE_LIMITED", detail: "Too many requests" } };
  const refuseTwo = (other: Page) =>
    other.route("**/api/ring", (route) => (++asked <= 2 ? route.fulfill(refused) : route.continue()));
  const thrown = await withPage(refuseTwo, async (other) => {
    await other.waitForFunction(() => document.querySelectorAll("#ring path").length === 3);
    expect(await other.locator("#ring-text").innerText()).toBe("No arc is moving.");
  });
  expect(thrown).toEqual([]);
  expect(asked).toBe(3);
});

test("the answer about an older ring does not take the place of a newer one's", async () => {
  const [state, ring] = (await Promise.all(
    ["state", "ring"].map(async (name) => (await fetch(`${served.admin}/api/${name}`)).json()),
  )) as [{ epoch: number }, object];
  const states = [1, 2].map(
    (more) => `event: state\ndata: ${JSON.stringify({ ...state, epoch: state.epoch + more })}\n\n`,
  );
  const events = `retry: 3600000\n\n${states.join("")}`;
  let answerOlder = (): Promise<void> => Promise.reject(new Error("nothing was asked"));
  let asked = 0;
  const prepare = async (other: Page) => {
    await other.route("**/events", (route) => route.fulfill({ contentType: "text/event-stream", body: events }));
    await other.route("**/api/ring", async (route) => {
      if (++asked > 1) await route.fulfill({ json: { ...ring, points: 2 } });
      else answerOlder = () => route.fulfill({ json: { ...ring, points: 1 } });
    });
  };
  const thrown = await withPage(prepare, async (other) => {
    const points = () => other.locator("#ring text").last().textContent();
    await expect.poll(points).toBe("2 points");
    const older = other.waitForEvent("requestfinished");
    await answerOlder();
    await older;
    await other.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
    expect(await points()).toBe("2 points");
  });
  expect(thrown).toEqual([]);
  expect(asked).toBe(2);
});

test("locates a key", async () => {
  await page.getByLabel("Key", { exact: true }).fill("key7");
  await page.getByRole("button", { name: "Locate" }).click();
  await read("locate-result", /127\.0\.0\.1/);
  expect(await text("locate-result")).toContain("ringshift:default:keys:0:");
  expect(await page.locator("#ring .marker").count()).toBe(1);
  if (SCREENSHOTS !== undefined) await sleep(15_000); // something to see in the charts
  await screenshot("dashboard-rest");
  await page.getByLabel("Key", { exact: true }).fill("not a key");
  await page.getByRole("button", { name: "Locate" }).click();
  await read("locate-result", /INVALID_KEY/);
});

test("plans, and refuses to change without the token", async () => {
  const added = await cluster.addMemcached();
  const gone = page.getByLabel("It is gone for good: its keys are lost");
  expect(await gone.isVisible()).toBe(false);
  await page.locator("#kind").selectOption("remove-node");
  expect(await gone.isVisible()).toBe(true);
  await page.locator("#kind").selectOption("add-node");
  await page.getByLabel("Address").fill(added.address);
  await page.getByRole("button", { name: "Apply" }).click();
  await read("change-result", /UNAUTHORIZED/);
  await page.getByLabel("Token for changes").fill(TOKEN);
  await page.getByRole("button", { name: "Plan" }).click();
  await read("change-result", /add-node .* keys move/);
  expect(await text("change-result")).toContain(added.address);
});

test("carries a migration through: pause, resume, done", async () => {
  await page.getByRole("button", { name: "Apply" }).click();
  await read("change-result", /begun/);
  await read("migration-text", /copying/);
  await read("ring-text", /of the ring is moving/);
  expect(await page.locator("#ring .moving").count()).toBe(1);
  await read("migration-numbers", /\d{2,} keys moved/);
  await page.getByRole("button", { name: "Pause" }).click();
  await read("migration-text", /paused/);
  await page.getByLabel("Token for changes").fill("");
  await page.getByRole("button", { name: "Resume" }).click();
  await read("migration-error", /UNAUTHORIZED/);
  await nextState();
  expect(await text("migration-error")).toContain("UNAUTHORIZED");
  await page.getByLabel("Token for changes").fill(TOKEN);
  await page.getByRole("button", { name: "Resume" }).click();
  await read("migration-text", /copying/);
  expect(await text("migration-error")).toBe("");
  if (SCREENSHOTS !== undefined) await read("migration-numbers", /[3-9]\d\d keys moved|[1-9],\d+ keys moved/);
  await screenshot("dashboard-migration");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction(() => document.querySelectorAll("#traffic-chart canvas, #keys-chart canvas").length === 2);
  await screenshot("dashboard-dark");
  page.setDefaultTimeout(120_000); // the rest of it takes a quarter of a minute, and more where the machine is busy
  await read("migration-text", /None is under way/);
  await read("summary", /4 of 4 nodes up/);
  expect(await page.locator("#nodes tbody tr").count()).toBe(4);
  expect(await text("events")).toContain("done");
});

test("no read failed meanwhile", async () => {
  stopped = true;
  expect(await traffic).toBe(0);
});

test("nothing was refused by the policy, asked elsewhere, or thrown", () => {
  // the browser notes a refusal that the page shows: the three that were meant
  expect(complaints.filter((text) => !/status of 40[01]/.test(text))).toEqual([]);
});
