import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { choose, onPage, result, shown, start } from './browser.mjs';

const stack = {};
before(async () => Object.assign(stack, await start()));
after(() => stack.stop?.());

const send = (page, added) => result(page, () => page.click('#send'), added);

test('an honest request passes every check', onPage(stack, async ({ page }) => {
  const it = await send(page);
  assert.equal(it.title, 'Admitted: 200 OK');
  assert.equal(it.checks.length, 22);
  assert.deepEqual(it.notRequired, ['nonce']);
  assert.deepEqual([it.failed, it.notMade, it.passed.length], [[], [], 21]);
  assert.deepEqual(it.marked, []);
  assert.match(it.announced, /^Admitted: 200 OK\. All checks passed\.$/);
}));

test('the page shows the request and the response as they are', onPage(stack, async ({ page }) => {
  const arrived = page.waitForRequest((request) => request.url().endsWith('/api/orders'));
  const it = await send(page);
  const { authorization, dpop, host } = await (await arrived).allHeaders();
  assert.equal(
    it.request,
    `GET /api/orders HTTP/1.1\nhost: ${host}\nauthorization: ${authorization}\ndpop: ${dpop}`,
  );
  const [, claims] = dpop.split('.');
  const { jti, ath } = JSON.parse(Buffer.from(claims, 'base64url'));
  assert.ok(it.proof.includes(jti) && it.proof.includes(ath));
  assert.match(it.response, /^HTTP\/1\.1 200 OK\n(?:.+\n)*content-type: application\/json\n/);
  assert.match(it.response, /\n\n\{.*"subject":"alice"/);
}));

const TAMPERED = {
  'no-token': ['credentials_missing', 'authorization'],
  bearer: ['token_scheme_not_accepted', 'scheme'],
  'no-proof': ['proof_missing', 'proof'],
  typ: ['proof_typ_invalid', 'typ', '"typ": "JWT",'],
  alg: ['proof_alg_not_allowed', 'alg', '"alg": "none",'],
  htm: ['proof_htm_mismatch', 'htm', '"htm": "POST",'],
  htu: ['proof_htu_mismatch', 'htu', /^"htu": ".*\/of-bob",$/],
  iat: ['proof_too_old', 'iat', /^"iat": \d+,$/],
  ath: ['proof_ath_mismatch', 'ath', /^"ath": "[\w-]{43}"$/],
  expired: ['token_expired', 'expiry'],
  'other-key': ['token_binding_mismatch', 'binding', /^"jwk": \{/],
  signature: ['proof_signature_invalid', 'signature'],
};

describe('each control is stopped by its check', () => {
  let opened;
  before(async () => (opened = await stack.open()));
  after(() => opened?.close());

  for (const [control, [reason, check, marked]] of Object.entries(TAMPERED)) {
    test(`${control}: ${reason}`, async () => {
      const { page } = opened;
      await page.check(`[name=tamper][value=${control}]`);
      const it = await send(page);
      assert.equal(it.title, 'Rejected: 401 Unauthorized');
      assert.equal(it.reason, reason);
      assert.deepEqual(it.failed, [check]);
      const index = it.checks.indexOf(check);
      assert.equal(it.passed.length + it.notRequired.length, index, 'those before it have passed');
      assert.deepEqual(it.notMade, it.checks.slice(index + 1), 'those after it were not made');
      assert.ok(it.announced.includes(`Stopped at check ${index + 1} of 22`), it.announced);
      assert.equal(it.marked.length, marked ? 1 : 0);
      if (marked) assert.ok(marked instanceof RegExp ? marked.test(it.marked[0]) : marked === it.marked[0]);
      // The way back is one control.
      await page.click('#reset');
      assert.equal((await send(page)).title, 'Admitted: 200 OK');
    });
  }
});

describe('nonces', () => {
  test('the page repeats the request with the nonce of the challenge', onPage(stack, async ({ page }) => {
    await choose(page, 'POST /api/payments');
    const it = await send(page, 2);
    assert.equal(it.title, 'Admitted: 200 OK');
    assert.ok(it.passed.includes('nonce'));
    const history = await page.locator('#history button').allTextContents();
    assert.deepEqual(history, [
      '2. POST /api/payments: 200 OK',
      '1. POST /api/payments: 401 proof_nonce_missing',
    ]);
    // The nonce is still good.
    assert.equal((await send(page)).title, 'Admitted: 200 OK');
  }));

  test('without the repetition, the challenge stays', onPage(stack, async ({ page }) => {
    await choose(page, 'POST /api/payments');
    await page.uncheck('#retry');
    const it = await send(page);
    assert.equal(it.reason, 'proof_nonce_missing');
    assert.deepEqual(it.failed, ['nonce']);
    assert.match(it.response, /\ndpop-nonce: \S+\n/);
    assert.match(it.response, /error="use_dpop_nonce"/);
  }));

  for (const [control, reason] of [['no-nonce', 'proof_nonce_missing'], ['nonce', 'proof_nonce_unknown']]) {
    test(`${control} is stopped with ${reason}`, onPage(stack, async ({ page }) => {
      await choose(page, 'POST /api/payments');
      await send(page, 2);
      await page.check(`[value=${control}]`);
      const it = await send(page);
      assert.equal(it.reason, reason);
      assert.deepEqual(it.failed, ['nonce']);
    }));
  }
});

test('a replay of the last request is stopped', onPage(stack, async ({ page }) => {
  assert.ok(await page.isDisabled('#replay'), 'there is nothing to replay yet');
  const first = await send(page);
  const it = await result(page, () => page.click('#replay'));
  assert.equal(it.request, first.request);
  assert.equal(it.reason, 'proof_replayed');
  assert.deepEqual([it.failed, it.notMade], [['replay'], []]);
}));

test('the clock of the client may be ten seconds off', onPage(stack, async ({ page }) => {
  for (const [offset, text, reason] of [
    [-120, '120 s slow', 'proof_too_old'],
    [-60, '60 s slow', undefined],
    [0, 'on time', undefined],
    [5, '5 s fast', undefined],
    [30, '30 s fast', 'proof_from_future'],
  ]) {
    await page.locator('#skew').fill(String(offset));
    assert.equal(await page.textContent('#skew-value'), text);
    assert.equal(await page.getAttribute('#skew', 'aria-valuetext'), text);
    const it = await send(page);
    assert.equal(it.reason, reason);
    if (reason) assert.match(it.detail, /offset [+-]\d+ s, so the client's clock is/);
  }
}));

test('of several changes, the first check in the order of the server counts', onPage(stack, async ({ page }) => {
  for (const control of ['signature', 'ath', 'htm', 'typ', 'bearer']) await page.check(`[value=${control}]`);
  for (const [control, reason] of [
    ['bearer', 'token_scheme_not_accepted'],
    ['typ', 'proof_typ_invalid'],
    ['htm', 'proof_htm_mismatch'],
    ['ath', 'proof_ath_mismatch'],
    ['signature', 'proof_signature_invalid'],
  ]) {
    assert.equal((await send(page)).reason, reason);
    await page.uncheck(`[value=${control}]`);
  }
  assert.equal((await send(page)).reason, undefined);
}));

test('a scope that the token lacks is stopped', onPage(stack, async ({ page }) => {
  await choose(page, 'GET /api/audit');
  const it = await send(page);
  assert.equal(it.title, 'Rejected: 403 Forbidden');
  assert.equal(it.reason, 'policy_scope_missing');
  assert.deepEqual([it.failed, it.notMade], [['scope'], ['replay']]);
}));

test('a token of an earlier key is stopped, and a new token helps', onPage(stack, async ({ page }) => {
  const before = await page.textContent('#thumbprint');
  await page.click('#new-key');
  await page.waitForFunction((old) => document.getElementById('thumbprint').textContent !== old, before);
  assert.match(await page.textContent('#token-binding'), /an earlier key/);
  assert.equal((await send(page)).reason, 'token_binding_mismatch');
  await page.click('#new-token');
  await page.waitForFunction(() => document.getElementById('token-binding').textContent === 'this key');
  assert.equal((await send(page)).reason, undefined);
}));

test('an earlier request can be shown again', onPage(stack, async ({ page }) => {
  const first = await send(page);
  await page.check('[value=htm]');
  await send(page);
  await page.click('#history button >> text=1. GET');
  assert.equal((await shown(page)).request, first.request);
  assert.equal(await page.getAttribute('#history [aria-current]', 'aria-current'), 'true');
}));

test('a page that is called localhost works as well', onPage(stack, async ({ page, ready }) => {
  await page.goto(stack.origin.replace('127.0.0.1', 'localhost'));
  await ready();
  assert.equal((await send(page)).title, 'Admitted: 200 OK');
}));

test('every reason of the checks is one of the library, and no reason is in two', async () => {
  const { checks } = await (await fetch(`${stack.origin}/checks`)).json();
  const wire = await readFile(new URL('../../../docs/wire.md', import.meta.url), 'utf8');
  const known = new Set([...wire.matchAll(/^\| `(\w+)` \| \d{3} /gm)].map(([, code]) => code));
  const codes = checks.flatMap(({ reasons }) => reasons);
  assert.deepEqual(codes.filter((code) => !known.has(code)), []);
  assert.equal(new Set(codes).size, codes.length);
  // Every check of a proof is in the list, whatever the settings.
  assert.deepEqual([...known].filter((code) => code.startsWith('proof_') && !codes.includes(code)), []);
});
