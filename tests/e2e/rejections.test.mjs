import assert from 'node:assert/strict';
import { before, beforeEach, test } from 'node:test';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import {
  altered,
  challengeOf,
  craftProof,
  expectAllowed,
  expectRejected,
  issueToken,
  nonceOf,
  oauth4webapiClient,
  send,
} from './clients.mjs';
import { OTHER_AUDIENCE, startProvider } from './provider.mjs';
import { inBothModes } from './server.mjs';

const now = () => Math.floor(Date.now() / 1000);

inBothModes('rejections', (stack) => {
  let keyPair, token, nonce;
  before(async () => {
    keyPair = await dpop.generateKeyPair('ES256');
    token = await issueToken(stack.provider, { keyPair });
  });
  // Every proof has a valid nonce, so no rejection here is due to the nonce.
  beforeEach(async () => {
    nonce = await nonceOf(stack, token, keyPair);
  });
  const prove = ({ keys = keyPair, url = stack.url, method = 'GET', bearer = token } = {}) =>
    dpop.generateProof(keys, url, method, nonce, bearer);
  const craft = async (claims, header) => {
    const ath = jose.decodeJwt(await prove()).ath;
    return craftProof(keyPair, { htm: 'GET', htu: stack.url, nonce, ath, ...claims }, header);
  };

  test('a proof sent again is rejected, a new one is not', async () => {
    const proof = await prove();
    await expectAllowed(await send(stack.url, { token, proof }), keyPair);
    await expectRejected(await send(stack.url, { token, proof }), 'invalid_dpop_proof');
    await expectRejected(await send(`${stack.url}?again`, { token, proof }), 'invalid_dpop_proof');
    await expectAllowed(await send(stack.url, { token, proof: await prove() }), keyPair);
  });

  test('of one proof sent 16 times at once, one passes', async () => {
    const proof = await prove();
    const answers = await Promise.all(Array.from({ length: 16 }, () => send(stack.url, { token, proof })));
    const [allowed, rejected] = [true, false].map((ok) => answers.filter((answer) => answer.ok === ok));
    assert.equal(allowed.length, 1);
    await expectAllowed(allowed[0], keyPair);
    for (const answer of rejected) await expectRejected(answer, 'invalid_dpop_proof');
  });

  const hour = 3600;
  const forged = (jwt) => {
    const signature = jwt.lastIndexOf('.') + 1;
    return jwt.slice(0, signature) + altered(jwt.slice(signature));
  };
  // The first two rows show that only the named change can cause the other rejections.
  for (const [what, error, makeProof] of [
    ['a generated proof without a change', undefined, () => prove()],
    ['a crafted proof without a change', undefined, () => craft()],
    ['no proof', 'invalid_dpop_proof', () => undefined],
    ['a proof for another method', 'invalid_dpop_proof', () => prove({ method: 'POST' })],
    ['a proof for another path', 'invalid_dpop_proof', () => prove({ url: `${stack.url}s` })],
    ['a proof for another origin', 'invalid_dpop_proof', () => prove({ url: 'https://example.com/resource' })],
    ['a proof without ath', 'invalid_dpop_proof', () => prove({ bearer: '' })],
    ['a proof with the ath of another token', 'invalid_dpop_proof', () => prove({ bearer: `${token}x` })],
    ['a proof an hour old', 'invalid_dpop_proof', () => craft({ iat: now() - hour })],
    ['a proof an hour ahead', 'invalid_dpop_proof', () => craft({ iat: now() + hour })],
    ['a proof without jti', 'invalid_dpop_proof', () => craft({ jti: undefined })],
    ['a JWT of another type', 'invalid_dpop_proof', () => craft({}, { typ: 'JWT' })],
    ['a proof whose signature is not right', 'invalid_dpop_proof', async () => forged(await prove())],
    ['two proofs', 'invalid_dpop_proof', async () => `${await prove()}, ${await prove()}`],
    ["another key's proof", 'invalid_token', async () => prove({ keys: await dpop.generateKeyPair('ES256') })],
  ]) {
    test(`${what} is ${error ? `rejected with ${error}` : 'allowed'}`, async () => {
      const response = await send(stack.url, { token, proof: await makeProof() });
      await (error ? expectRejected(response, error) : expectAllowed(response, keyPair));
    });
  }

  test('a bound token sent as Bearer is rejected, with a proof or without', async () => {
    for (const proof of [undefined, await prove()]) {
      await expectRejected(await send(stack.url, { scheme: 'Bearer', token, proof }), 'invalid_token');
    }
    await assert.rejects(oauth4webapiClient(token).request('GET', stack.url), (error) => {
      assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
      return error.status === 401 && !oauth.isDPoPNonceError(error);
    });
  });

  test('an unbound token is rejected, as Bearer and as DPoP', async () => {
    const unbound = await issueToken(stack.provider);
    const proof = await prove({ bearer: unbound });
    await expectRejected(await send(stack.url, { scheme: 'Bearer', token: unbound }), 'invalid_token');
    await expectRejected(await send(stack.url, { token: unbound, proof }), 'invalid_token');
  });

  const withClaims = (provider, claims) => {
    provider.claims = claims;
    return issueToken(provider, { keyPair }).finally(() => (provider.claims = {}));
  };
  for (const [what, makeToken] of [
    ['for another audience', () => issueToken(stack.provider, { keyPair, resource: OTHER_AUDIENCE })],
    ['whose signature is not right', async () => forged(token)],
    ['that has expired', () => withClaims(stack.provider, { exp: now() - hour })],
    ['that names another issuer', () => withClaims(stack.provider, { iss: 'https://as.example.com' })],
    ['that another issuer signed', async () => {
      const other = await startProvider();
      return withClaims(other, { iss: stack.provider.issuer }).finally(() => other.stop());
    }],
  ]) {
    test(`a token ${what} is rejected with invalid_token`, async () => {
      const bad = await makeToken();
      const proof = await prove({ bearer: bad });
      await expectRejected(await send(stack.url, { token: bad, proof }), 'invalid_token');
    });
  }

  test('without credentials the challenge names the algorithms and no error', async () => {
    for (const method of ['GET', 'POST']) {
      const response = await send(stack.url, { method });
      assert.equal(response.status, 401);
      const { algs, ...others } = await challengeOf(response);
      assert.ok(!('error' in others), `unexpected error=${others.error}`);
      for (const alg of ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256']) {
        assert.ok(algs.split(' ').includes(alg), `${alg} is accepted but not in algs="${algs}"`);
      }
    }
  });

  test('the health check needs no credentials', async () => {
    assert.equal((await send(`${stack.server.origin}/healthz`)).status, 200);
  });
});
