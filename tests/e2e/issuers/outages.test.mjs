import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as dpop from 'dpop';
import * as jose from 'jose';
import { call, expectRejected, issueToken } from '../clients.mjs';
import { issuer, startGateway } from '../gateways.mjs';
import { eventually } from '../program.mjs';
import { AUDIENCE, OTHER_AUDIENCE, SECRET, machine, newKey, startProvider } from '../provider.mjs';

/** Less than any timeout of the gateway, in milliseconds. */
const PROMPT = 3_000;

/** Sends requests all the time. All have to be admitted, and none may wait. */
function traffic(gateway, token, keyPair) {
  let ended = false;
  const statistics = { requests: 0, slowest: 0 };
  const loop = (async () => {
    while (!ended) {
      const began = Date.now();
      const { status } = await call(gateway, '/traffic', token, keyPair);
      assert.equal(status, 200, `after ${statistics.requests} requests:\n${gateway.output()}`);
      statistics.requests += 1;
      statistics.slowest = Math.max(statistics.slowest, Date.now() - began);
      await sleep(20);
    }
  })();
  // It is reported by `end`.
  loop.catch(() => {});
  return {
    async end() {
      ended = true;
      await loop;
      assert.ok(statistics.requests > 10, `only ${statistics.requests} requests`);
      assert.ok(statistics.slowest < PROMPT, `a request took ${statistics.slowest} ms`);
    },
  };
}

let running, keyPair;
const start = async (starting) => {
  const started = await starting;
  running.push(started);
  return started;
};
const stop = async (stack) => {
  running.splice(running.indexOf(stack), 1);
  await stack.stop();
};
beforeEach(async () => {
  running = [];
  keyPair = await dpop.generateKeyPair('ES256');
});
afterEach(async () => {
  for (const stack of running.reverse()) await stack.stop();
});

describe('an issuer of JWTs that dies and comes back with other keys', () => {
  // Nearly the shortest times that can be set.
  const key_fetching = {
    refresh_after: 10,
    min_refresh_after: 10,
    max_refresh_after: 10,
    min_retry_delay: 1,
    max_retry_delay: 2,
    unknown_key_cool_down: 1,
  };

  test('does not affect requests whose keys are known, until it withdraws one', async () => {
    const [first, second] = [await newKey('ES256', 'first'), await newKey('ES256', 'second')];
    let provider = await start(startProvider({ keys: [first] }));
    const gateway = await start(startGateway({ issuers: [issuer(provider, [AUDIENCE], { key_fetching })] }));
    const old = await issueToken(provider, { keyPair });
    assert.equal((await call(gateway, '/', old, keyPair)).status, 200);
    const oldTraffic = traffic(gateway, old, keyPair);

    await stop(provider);
    const failed = () => gateway.output().match(/keys could not be fetched/g)?.length;
    const why = () => `the keys were not fetched:\n${gateway.output()}`;
    await eventually(async () => failed() >= 2, { seconds: 30, why });
    assert.match(gateway.output(), /in_use=true/);
    // A key of the next provider is unknown while it cannot be fetched.
    const claims = { ...jose.decodeJwt(old), jti: crypto.randomUUID() };
    const early = await new jose.SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'second', typ: 'at+jwt' })
      .sign(await jose.importJWK(second));
    await expectRejected(await call(gateway, '/', early, keyPair), 'invalid_token');

    provider = await start(startProvider({ keys: [second, first], port: provider.port }));
    const fresh = await issueToken(provider, { keyPair });
    assert.equal(jose.decodeProtectedHeader(fresh).kid, 'second');
    const admits = async (token) => (await call(gateway, '/', token, keyPair)).status === 200;
    await eventually(() => admits(fresh), { seconds: 10 });
    assert.ok(await admits(early));
    await oldTraffic.end();

    await stop(provider);
    provider = await start(startProvider({ keys: [second], port: provider.port }));
    const withdrawn = Date.now();
    const freshTraffic = traffic(gateway, fresh, keyPair);
    await eventually(async () => !(await admits(old)), { seconds: 15 });
    assert.ok(Date.now() - withdrawn < 1_000 * key_fetching.max_refresh_after + PROMPT);
    await expectRejected(await call(gateway, '/', old, keyPair), 'invalid_token');
    await freshTraffic.end();
  });

  test('before its keys are known, tokens get 503, and pass when it is back', async () => {
    const provider = await start(startProvider());
    const token = await issueToken(provider, { keyPair });
    await stop(provider);
    const gateway = await start(startGateway({ issuers: [issuer(provider, [AUDIENCE], { key_fetching })] }));
    for (let i = 0; i < 5; i += 1) {
      const response = await call(gateway, '/', token, keyPair);
      assert.equal(response.status, 503);
      assert.ok(Number(response.headers.get('retry-after')) > 0);
      assert.equal(response.headers.get('www-authenticate'), null);
    }
    await provider.restart();
    running.push(provider);
    await eventually(async () => (await call(gateway, '/', token, keyPair)).status === 200, { seconds: 10 });
  });
});

describe('an issuer of opaque tokens that dies and comes back', () => {
  const startStack = async (more) => {
    const jwt = await start(startProvider());
    const opaque = await start(
      startProvider({
        clients: [machine('api', { grant_types: [] })],
        formats: { [OTHER_AUDIENCE]: 'opaque' },
        features: { introspection: { enabled: true } },
      }),
    );
    const introspection = { client_id: 'api', client_secret_file: 'secret', ...more };
    const gateway = await start(
      startGateway({
        issuers: [issuer(jwt, [AUDIENCE]), issuer(opaque, [OTHER_AUDIENCE], { introspection })],
        files: { secret: SECRET },
      }),
    );
    const opaqueToken = () => issueToken(opaque, { keyPair, resource: OTHER_AUDIENCE, isOpaque: true });
    const cached = await opaqueToken();
    assert.equal((await call(gateway, '/', cached, keyPair)).status, 200);
    return { jwt, opaque, gateway, cached, opaqueToken };
  };

  test('affects opaque tokens that are not cached, and no others', async () => {
    const { jwt, opaque, gateway, cached, opaqueToken } = await startStack();
    const fresh = await opaqueToken();
    const jwtTraffic = traffic(gateway, await issueToken(jwt, { keyPair }), keyPair);
    const cachedTraffic = traffic(gateway, cached, keyPair);
    await stop(opaque);
    // More than it takes to suspend calls.
    for (let i = 0; i < 20; i += 1) {
      const began = Date.now();
      const response = await call(gateway, '/', fresh, keyPair);
      assert.equal(response.status, 503);
      assert.ok(Number(response.headers.get('retry-after')) > 0);
      assert.equal(response.headers.get('www-authenticate'), null);
      assert.ok(Date.now() - began < PROMPT);
    }
    assert.match(gateway.output(), /introspection calls are suspended/);

    await opaque.restart();
    running.push(opaque);
    await eventually(async () => (await call(gateway, '/', fresh, keyPair)).status === 200, { seconds: 10 });
    assert.match(gateway.output(), /introspection endpoint works again/);
    await jwtTraffic.end();
    await cachedTraffic.end();
  });

  test('is not replaced by an answer that is too old', async () => {
    const { opaque, gateway, cached } = await startStack({ cache_for: 1 });
    await stop(opaque);
    const response = await eventually(async () => {
      const response = await call(gateway, '/', cached, keyPair);
      return response.status !== 200 && response;
    });
    assert.equal(response.status, 503);
    assert.ok(response.headers.get('retry-after'));
    await opaque.restart();
    running.push(opaque);
    await eventually(async () => (await call(gateway, '/', cached, keyPair)).status === 200, { seconds: 10 });
  });
});
