import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { freePort, startProgram } from '../program.mjs';

// Chromium itself must not call anyone either.
const ARGUMENTS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** Chromium reports every rejected request and socket in the console. Anything else there is an error of the page. */
const REPORTS = [
  /^Failed to load resource: the server responded with a status of (?:40[013]|429) \(/,
  /^WebSocket connection to .* failed: Error during WebSocket handshake: Unexpected response code: 403$/,
];

/** Starts the playground and Chromium with an empty profile. */
export async function start() {
  const { PLAYGROUND_BIN, CHROMIUM } = process.env;
  assert.ok(PLAYGROUND_BIN, 'PLAYGROUND_BIN must name the program under test');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const program = await startProgram(PLAYGROUND_BIN, {
    args: ['--port', String(port)],
    isReady: async () => (await fetch(`${origin}/checks`)).ok,
  });
  const executablePath = CHROMIUM || '/usr/bin/chromium';
  const launching = chromium.launch({ executablePath, chromiumSandbox: false, args: ARGUMENTS });
  const browser = await launching.catch(async (error) => {
    await program.stop();
    throw error;
  });
  return {
    origin,
    browser,
    open: (options) => open(browser, origin, options),
    async stop() {
      await browser.close();
      await program.stop();
    },
  };
}

/** Opens the page in a context of its own. `close` fails if anything has gone wrong in it. */
async function open(browser, origin, { expectErrors = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const errors = [];
  const requests = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    const isProblem = ['error', 'warning'].includes(message.type());
    const expected = [...REPORTS, ...expectErrors];
    if (isProblem && !expected.some((report) => report.test(message.text()))) errors.push(message.text());
  });
  context.on('request', (request) => requests.push(request.url()));
  page.on('websocket', (socket) => requests.push(socket.url().replace(/^ws/, 'http')));
  const ready = () => page.waitForSelector('body[data-ready]');
  await page.goto(origin);
  await ready();
  return {
    page,
    context,
    requests,
    ready,
    async close() {
      await context.close();
      assert.deepEqual(errors, [], 'the page has no errors');
      const own = [origin, origin.replace('127.0.0.1', 'localhost')];
      const foreign = requests.filter((url) => !own.includes(new URL(url).origin));
      assert.deepEqual(foreign, [], 'no request leaves this machine');
    },
  };
}

/** Runs `define` with a page of its own, and closes it. */
export const onPage = (stack, run, options) => async () => {
  const opened = await stack.open(options);
  try {
    await run(opened);
  } finally {
    await opened.close();
  }
};

/** Chooses an endpoint by the beginning of its text. */
export async function choose(page, endpoint) {
  const texts = await page.locator('#endpoint option').allTextContents();
  await page.selectOption('#endpoint', { index: texts.findIndex((text) => text.startsWith(endpoint)) });
}

/** Waits until the number of exchanges has grown by `added`, and returns the one that is shown. */
export async function result(page, act, added = 1) {
  const before = await latest(page);
  await act();
  await page.waitForFunction(
    (number) => Number.parseInt(document.querySelector('#history button')?.textContent ?? '0', 10) >= number,
    before + added,
  );
  return shown(page);
}

const latest = (page) =>
  page.evaluate(() => Number.parseInt(document.querySelector('#history button')?.textContent ?? '0', 10));

export const shown = (page) =>
  page.evaluate(() => {
    const text = (id) => document.getElementById(id)?.textContent;
    const checks = [...document.querySelectorAll('[data-check]')];
    const named = (state) => checks.filter((it) => it.dataset.state === state).map((it) => it.dataset.check);
    return {
      title: text('verdict-title'),
      reason: text('reason'),
      detail: text('verdict-detail'),
      announced: text('announcement'),
      checks: checks.map((it) => it.dataset.check),
      passed: named('passed'),
      failed: named('failed'),
      notMade: named('not made'),
      notRequired: named('not required'),
      seen: Object.fromEntries(checks.map((it) => [it.dataset.check, it.querySelector('.seen')?.textContent])),
      request: text('wire-request'),
      response: text('wire-response'),
      proof: text('proof'),
      marked: [...document.querySelectorAll('#proof mark')].map((it) => it.textContent.trim()),
    };
  });
