import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import {
  dpopClient,
  expectAllowed,
  expectRejected,
  issueToken,
  nonceOf,
  oauth4webapiClient,
  send,
} from './clients.mjs';
import { inBothModes } from './server.mjs';

// The libraries write the name of RFC 9864. Older clients still write that of RFC 8037.
const asEdDSA = { [oauth.modifyAssertion]: (header) => Object.assign(header, { alg: 'EdDSA' }) };
const KEYS = [['ES256'], ['Ed25519'], ['Ed25519', 'EdDSA', asEdDSA], ['PS256'], ['RS256']];
const CLIENTS = [
  ...KEYS.map(([alg, name = alg, options]) => ['oauth4webapi', name, oauth, alg, oauth4webapiClient, options]),
  ...KEYS.filter(([, name]) => !name).map(([alg]) => ['dpop', alg, dpop, alg, dpopClient]),
];

inBothModes('good requests', (stack) => {
  for (const [library, name, { generateKeyPair }, alg, makeClient, options] of CLIENTS) {
    describe(`${library} with a key for ${name}`, () => {
      let keyPair, client;
      before(async () => {
        keyPair = await generateKeyPair(alg);
        client = makeClient(await issueToken(stack.provider, { keyPair, options }), keyPair, options);
      });
      for (const [what, method, query] of [
        ['GET', 'GET', ''],
        ['POST', 'POST', ''],
        ['a query string that the proof does not name', 'GET', '?page=2&sort=%2Fname'],
      ]) {
        test(`${what} is allowed and names the key`, async () => {
          await expectAllowed(await client.request(method, stack.url + query), keyPair);
        });
      }
      test('20 requests in a row, then 20 at once, need one nonce at most', async () => {
        for (let i = 0; i < 20; i += 1) {
          await expectAllowed(await client.request(i % 2 ? 'POST' : 'GET', stack.url), keyPair);
        }
        const answers = Array.from({ length: 20 }, () => client.request('GET', stack.url));
        for (const answer of await Promise.all(answers)) await expectAllowed(answer, keyPair);
        assert.equal(client.challenged, stack.nonces ? 1 : 0);
      });
    });
  }
});

for (const alg of ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256']) {
  inBothModes(
    `access tokens signed with ${alg}`,
    (stack) => {
      for (const [library, { generateKeyPair }, makeClient] of [
        ['oauth4webapi', oauth, oauth4webapiClient],
        ['dpop', dpop, dpopClient],
      ]) {
        test(`${library} is allowed`, async () => {
          const keyPair = await generateKeyPair('ES256');
          const token = await issueToken(stack.provider, { keyPair });
          const { typ, alg: signedWith } = jose.decodeProtectedHeader(token);
          assert.deepEqual({ typ, signedWith }, { typ: 'at+jwt', signedWith: alg });
          await expectAllowed(await makeClient(token, keyPair).request('GET', stack.url), keyPair);
        });
      }
    },
    { provider: { alg } },
  );
}

inBothModes(
  'a server behind a proxy',
  (stack) => {
    test('proofs name the public origin, not the one the server listens on', async () => {
      const keyPair = await dpop.generateKeyPair('ES256');
      const token = await issueToken(stack.provider, { keyPair });
      const nonce = await nonceOf(stack, token, keyPair);
      const to = (url) => dpop.generateProof(keyPair, url, 'GET', nonce, token);
      await expectAllowed(await send(stack.url, { token, proof: await to(stack.server.htu) }), keyPair);
      await expectRejected(await send(stack.url, { token, proof: await to(stack.url) }), 'invalid_dpop_proof');
    });
  },
  { server: { publicOrigin: 'https://api.example.com' } },
);
