import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import * as oauth from 'oauth4webapi';
import { call, dpopClient, expectRejected, issueToken, oauth4webapiClient, send, thumbprint } from '../clients.mjs';
import { expectIdentity, issuer, startGateway } from '../gateways.mjs';
import { eventually } from '../program.mjs';
import { AUDIENCE, OTHER_AUDIENCE, SECRET, machine, newKey, startProvider } from '../provider.mjs';
import { issueUserToken, withUsers } from '../users.mjs';

const INTROSPECTION = '/token/introspection';
/** The resource with opaque tokens. Tokens for `AUDIENCE` of the same provider are JWTs. */
const OPAQUE = OTHER_AUDIENCE;

const withoutPrivateKey = ({ d: _, ...jwk }) => jwk;

/** Starts a provider with opaque tokens, where the gateway is a client in each of the ways it supports. */
async function startOpaqueProvider(features = { jwtIntrospection: { enabled: true } }) {
  const key = await newKey('ES256', 'gateway-1');
  const provider = await startProvider({
    ...withUsers,
    formats: { [OPAQUE]: 'opaque' },
    clients: [
      ...withUsers.clients,
      machine('api-secret', { grant_types: [] }),
      machine('api-key', {
        client_secret: undefined,
        grant_types: [],
        jwks: { keys: [withoutPrivateKey(key)] },
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
      }),
    ],
    features: {
      ...withUsers.features,
      introspection: { enabled: true },
      revocation: { enabled: true },
      ...features,
    },
  });
  return Object.assign(provider, { files: { secret: `${SECRET}\n`, 'key.jwk': JSON.stringify(key) } });
}

const bySecret = { client_id: 'api-secret', client_secret_file: 'secret' };
const byKey = { client_id: 'api-key', client_key_file: 'key.jwk' };

/** Starts a gateway that has `introspection` for the opaque provider, and another issuer before it. */
async function startGatewayOf({ jwt, opaque }, introspection, more) {
  return startGateway({
    issuers: [issuer(jwt, [AUDIENCE]), issuer(opaque, [AUDIENCE, OPAQUE], { introspection })],
    routes: [
      { path: '/jwt', issuers: [jwt.issuer] },
      { path: '/opaque', issuers: [opaque.issuer] },
    ],
    files: opaque.files,
    ...more,
  });
}

async function revoke({ issuer: url }, token) {
  const response = await fetch(`${url}/token/revocation`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`bound-client:${SECRET}`)}` },
    body: new URLSearchParams({ token }),
  });
  assert.equal(response.status, 200, await response.text());
}

describe('a gateway with an issuer of JWTs and one of opaque tokens', () => {
  let stack, keyPair, jkt;
  before(async () => {
    stack = { jwt: await startProvider(withUsers), opaque: await startOpaqueProvider() };
    keyPair = await dpop.generateKeyPair('ES256');
    jkt = await thumbprint(keyPair);
  });
  after(async () => {
    await stack?.jwt.stop();
    await stack?.opaque.stop();
  });
  const opaqueToken = (keys = keyPair) =>
    issueToken(stack.opaque, { keyPair: keys, resource: OPAQUE, isOpaque: true });

  for (const [how, introspection] of [
    ['client_secret_basic', bySecret],
    ['private_key_jwt', byKey],
    ['client_secret_basic and signed answers', { ...bySecret, signed_responses: true }],
    ['private_key_jwt and signed answers', { ...byKey, signed_responses: true }],
  ]) {
    describe(`with ${how}`, () => {
      let gateway;
      before(async () => (gateway = await startGatewayOf(stack, introspection)));
      after(() => gateway?.stop());

      for (const [library, makeClient] of [
        ['oauth4webapi', oauth4webapiClient],
        ['dpop', dpopClient],
      ]) {
        test(`an opaque token passes with ${library}, and the issuer is asked once`, async () => {
          const client = makeClient(await opaqueToken(), keyPair);
          const calls = stack.opaque.calls(INTROSPECTION);
          for (let i = 0; i < 10; i += 1) {
            const response = await client.request(i % 2 ? 'POST' : 'GET', `${gateway.origin}/opaque`);
            // A client has no subject at this issuer, so nobody is named.
            await expectIdentity(response, { issuer: stack.opaque.issuer, thumbprint: jkt });
          }
          assert.equal(stack.opaque.calls(INTROSPECTION), calls + 1);
        });
      }

      test('users of the same name at both issuers are two principals', async () => {
        const user = { keyPair, user: 'alice' };
        for (const [path, provider, token] of [
          ['/jwt', stack.jwt, await issueUserToken(stack.jwt, user)],
          ['/opaque', stack.opaque, await issueUserToken(stack.opaque, { ...user, resource: OPAQUE, isOpaque: true })],
          // The same issuer has JWTs for another API.
          ['/opaque', stack.opaque, await issueUserToken(stack.opaque, user)],
        ]) {
          await expectIdentity(await call(gateway, path, token, keyPair), {
            issuer: provider.issuer,
            principal: `${provider.issuer} alice`,
            scope: 'orders:read',
            thumbprint: jkt,
          });
        }
      });

      test('a token of one issuer is rejected on the route of the other', async () => {
        await expectRejected(await call(gateway, '/jwt', await opaqueToken(), keyPair), 'invalid_token');
        const jwt = await issueToken(stack.jwt, { keyPair });
        await expectRejected(await call(gateway, '/opaque', jwt, keyPair), 'invalid_token');
        // Elsewhere, both pass.
        await expectIdentity(await call(gateway, '/any', jwt, keyPair), {
          issuer: stack.jwt.issuer,
          principal: `${stack.jwt.issuer} bound-client`,
          thumbprint: jkt,
        });
      });

      test('tokens that the issuer does not know, or that are bound to another key, are rejected', async () => {
        const invented = (await opaqueToken()).replace(/....$/, 'AAAA');
        await expectRejected(await call(gateway, '/opaque', invented, keyPair), 'invalid_token');
        const stolen = await opaqueToken(await oauth.generateKeyPair('ES256'));
        await expectRejected(await call(gateway, '/opaque', stolen, keyPair), 'invalid_token');
      });

      test('a bound token is rejected as a bearer token, and so is one that was never bound', async () => {
        const unbound = await issueToken(stack.opaque, { resource: OPAQUE, isOpaque: true });
        for (const token of [await opaqueToken(), unbound]) {
          const response = await send(`${gateway.origin}/opaque`, { scheme: 'Bearer', token });
          await expectRejected(response, 'invalid_token');
        }
        await expectRejected(await call(gateway, '/opaque', unbound, keyPair), 'invalid_token');
      });
    });
  }

  test('a token for another API is rejected', async () => {
    const { jwt, opaque } = stack;
    const gateway = await startGateway({
      issuers: [issuer(jwt, [AUDIENCE]), issuer(opaque, [AUDIENCE], { introspection: bySecret })],
      files: opaque.files,
    });
    try {
      await expectRejected(await call(gateway, '/opaque', await opaqueToken(), keyPair), 'invalid_token');
      assert.equal((await call(gateway, '/', await issueToken(opaque, { keyPair }), keyPair)).status, 200);
    } finally {
      await gateway.stop();
    }
  });

  for (const [what, more, status] of [
    ['is rejected by default', {}, 401],
    ['passes with `danger_accept_missing_audience`', { danger_accept_missing_audience: true }, 200],
  ]) {
    test(`a token that was not asked for with a resource has no audience, and ${what}`, async () => {
      const gateway = await startGatewayOf(stack, { ...bySecret, ...more });
      try {
        const token = await issueToken(stack.opaque, { keyPair, resource: null, isOpaque: true });
        assert.equal((await call(gateway, '/opaque', token, keyPair)).status, status);
      } finally {
        await gateway.stop();
      }
    });
  }

  test('answers that are not signed are rejected if signed ones are required', async () => {
    const opaque = await startOpaqueProvider({});
    const gateway = await startGatewayOf({ ...stack, opaque }, { ...bySecret, signed_responses: true });
    try {
      const token = await issueToken(opaque, { keyPair, resource: OPAQUE, isOpaque: true });
      const response = await call(gateway, '/opaque', token, keyPair);
      assert.equal(response.status, 503);
      assert.ok(response.headers.get('retry-after'));
    } finally {
      await gateway.stop();
      await opaque.stop();
    }
  });

  for (const [how, cacheFor] of [
    ['at once without a cache', 0],
    ['within the time that answers are cached', 2],
  ]) {
    test(`a token that is revoked stops working ${how}`, async () => {
      const introspection = { ...byKey, signed_responses: true, cache_for: cacheFor };
      const gateway = await startGatewayOf(stack, introspection);
      try {
        const [token, other] = [await opaqueToken(), await opaqueToken()];
        for (const good of [token, other]) {
          assert.equal((await call(gateway, '/opaque', good, keyPair)).status, 200);
        }
        await revoke(stack.opaque, token);
        const revoked = Date.now();
        let last = revoked;
        const response = await eventually(async () => {
          const began = Date.now();
          const response = await call(gateway, '/opaque', token, keyPair);
          if (response.status === 200) last = began;
          return response.status !== 200 && response;
        });
        await expectRejected(response, 'invalid_token');
        const worked = last - revoked;
        assert.ok(worked <= 1000 * cacheFor, `it worked for ${worked} ms more`);
        await expectRejected(await call(gateway, '/opaque', token, keyPair), 'invalid_token');
        assert.equal((await call(gateway, '/opaque', other, keyPair)).status, 200);
      } finally {
        await gateway.stop();
      }
    });
  }
});
