import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onPage, start } from './browser.mjs';

const stack = {};
before(async () => Object.assign(stack, await start()));
after(() => stack.stop?.());

const lines = (page, id) => page.locator(`#${id} li`).allTextContents();
const line = (page, id, text) => page.waitForSelector(`#${id} li:has-text("${text}")`, { timeout: 30_000 });

/** Gets a token with this lifetime. */
async function newToken(page, lifetime) {
  await page.selectOption('#lifetime', lifetime);
  const response = page.waitForResponse((it) => it.url().endsWith('/token'));
  await page.click('#new-token');
  return (await (await response).json()).expires_in;
}

/** Runs a client of its own inside the page: `tickets` requests for tickets with one key, then sockets with `protocols`. */
const client = (page, { tickets, protocols = [] }) =>
  page.evaluate(async ({ tickets, protocols }) => {
    const { makeProof, newKey, publicJwk, thumbprint } = await import('/dpop.js');
    const key = await newKey();
    const post = async (path, token) => {
      const url = location.origin + path;
      const now = Math.floor(Date.now() / 1000);
      const proof = await makeProof(key, { method: 'POST', url, token, now });
      const headers = { dpop: proof.text, ...(token && { authorization: `DPoP ${token}` }) };
      return fetch(url, { method: 'POST', headers });
    };
    const { access_token: token } = await (await post('/token')).json();
    const statuses = [];
    let ticket;
    for (let count = 0; count < tickets; count += 1) {
      const response = await post('/api/tickets', token);
      statuses.push(response.status);
      if (response.ok) ({ ticket } = await response.json());
    }
    const open = (offered) =>
      new Promise((resolve) => {
        const socket = new WebSocket(
          `${location.origin.replace('http', 'ws')}/socket`,
          offered.map((protocol) => protocol.replace('TICKET', ticket)),
        );
        socket.onmessage = ({ data }) => {
          resolve(`${socket.protocol}: ${data}`);
          socket.close();
        };
        socket.onclose = ({ code }) => resolve(code);
      });
    const sockets = [];
    for (const offered of protocols) sockets.push(await open(offered));
    const oneMore = (await post('/api/tickets', token)).status;
    return { statuses, sockets, oneMore, thumbprint: await thumbprint(await publicJwk(key)) };
  }, { tickets, protocols });

test('an event stream and a web socket end with their token', onPage(stack, async ({ page }) => {
  assert.equal(await newToken(page, '10 seconds'), 10);
  await page.click('#events-open');
  await page.click('#socket-open');
  await line(page, 'socket-log', 'hello, holder of key');
  await page.fill('#socket-text', 'are you there?');
  await page.click('#socket-send');
  await line(page, 'socket-log', 'echo: are you there?');

  await line(page, 'events-log', 'the server has ended the stream: the token has expired');
  await line(page, 'socket-log', 'closed: 1008 the token has expired');
  const events = (await lines(page, 'events-log')).filter((text) => text.startsWith('event '));
  assert.ok(events.length >= 5, `the stream was open until then: ${events}`);
  assert.ok(await page.isEnabled('#events-open'));
  assert.ok(await page.isDisabled('#socket-send'));

  // The token is of no use any more.
  await page.click('#events-open');
  await line(page, 'events-log', 'rejected: 401 token_expired');
  await page.click('#socket-open');
  await line(page, 'socket-log', 'no ticket: 401 token_expired');
}));

test('the page can close an event stream', onPage(stack, async ({ page }) => {
  await page.click('#events-open');
  await line(page, 'events-log', 'event 1');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'events-close', 'the focus is not lost');
  await page.click('#events-close');
  await line(page, 'events-log', 'closed by this page');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'events-open', 'the focus is not lost');
}));

test('a ticket is good once', onPage(stack, async ({ page }) => {
  await page.click('#socket-open');
  await line(page, 'socket-log', 'hello, holder of key');
  await page.click('#socket-again');
  await line(page, 'socket-log', 'rejected: a ticket is good once');
  assert.ok(await page.isEnabled('#socket-send'), 'the first socket stays open');
}));

test('a web socket is for the holder of the key of its ticket, which it does not tell', onPage(stack, async ({ page }) => {
  const offered = ['playground', 'ticket.TICKET'];
  const { sockets, thumbprint } = await client(page, { tickets: 1, protocols: [offered, offered] });
  assert.deepEqual(sockets, [`playground: hello, holder of key ${thumbprint}`, 1006]);
}));

test('no web socket opens without a ticket of the server', onPage(stack, async ({ page }) => {
  const protocols = [[], ['playground'], ['playground', 'ticket.'], ['playground', `ticket.${'A'.repeat(43)}`]];
  const { sockets } = await client(page, { tickets: 0, protocols });
  assert.deepEqual(sockets, Array(4).fill(1006));
}));

test('a key has at most ten unused tickets', onPage(stack, async ({ page }) => {
  const { statuses, sockets, oneMore } = await client(page, { tickets: 11, protocols: [['playground', 'ticket.TICKET']] });
  assert.deepEqual(statuses, [...Array(10).fill(200), 429]);
  assert.match(sockets[0], /^playground: hello/);
  assert.equal(oneMore, 200, 'a used ticket makes room');
  assert.deepEqual((await client(page, { tickets: 1 })).statuses, [200], 'other keys have tickets of their own');
}));
