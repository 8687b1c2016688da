import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as dpop from 'dpop';
import { craftProof, issueToken } from '../e2e/clients.mjs';
import { inBothModes } from '../e2e/server.mjs';
import { METHODS, expectAnswers, expectRejected, fetchGrpcWeb, grpcJs, nodeGrpcWeb, path } from './clients.mjs';
import { health, options } from './server.mjs';

const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;
const nonceWanted = { code: UNAUTHENTICATED, error: 'use_dpop_nonce', message: 'the proof needs a nonce' };
const all = Object.keys(METHODS);

for (const [name, connect, methods] of [
  ['gRPC with grpc-js', grpcJs, all],
  // Browsers cannot stream requests.
  ['gRPC-web with connect-web', fetchGrpcWeb, ['Place', 'Watch']],
  ['gRPC-web with connect-node', nodeGrpcWeb, all],
]) {
  inBothModes(
    name,
    (stack) => {
      let client, keyPair, token, nonce;
      before(async () => {
        client = connect(stack.server.origin);
        keyPair = await dpop.generateKeyPair('ES256');
        token = await issueToken(stack.provider, { keyPair, scope: 'orders:write' });
        if (!stack.nonces) return;
        // Every proof has a valid nonce, so no rejection is due to the nonce.
        const rejected = await expectRejected(client.call('Place', await prove('Place')), nonceWanted);
        nonce = rejected.header('dpop-nonce');
        assert.ok(nonce, 'no nonce to go on with');
      });
      after(() => client.close());
      const htu = (method) => stack.server.origin + path(method);
      const headers = (proof, { scheme = 'DPoP', bearer = token } = {}) => ({
        authorization: `${scheme} ${bearer}`,
        ...(proof && { dpop: proof }),
      });
      const proofFor = (method, { keys = keyPair, url = htu(method), htm = 'POST', bearer = token } = {}) =>
        dpop.generateProof(keys, url, htm, nonce, bearer);
      const prove = async (method, change) => headers(await proofFor(method, change));

      for (const method of methods) {
        test(`${method} is served with a proof, once`, async () => {
          const proved = await prove(method);
          const served = await client.call(method, proved);
          expectAnswers(method, served);
          assert.equal(served.header('dpop-nonce'), null);
          const message = 'the proof was used before';
          await expectRejected(client.call(method, proved), {
            code: UNAUTHENTICATED,
            error: 'invalid_dpop_proof',
            message,
          });
        });

        if (stack.nonces) {
          test(`${method} without a nonce is told one, with which it is served`, async () => {
            const without = await dpop.generateProof(keyPair, htu(method), 'POST', undefined, token);
            const rejected = await expectRejected(client.call(method, headers(without)), nonceWanted);
            const told = rejected.header('dpop-nonce');
            const proof = await dpop.generateProof(keyPair, htu(method), 'POST', told, token);
            expectAnswers(method, await client.call(method, headers(proof)));
          });
        }

        for (const [what, error, message, make] of [
          ['no credentials', undefined, 'no access token was sent', () => ({})],
          ['no proof', 'invalid_dpop_proof', 'the DPoP header is missing', () => headers()],
          [
            'a bound token as a bearer token',
            'invalid_token',
            'only DPoP-bound tokens with the DPoP scheme are accepted',
            async () => headers(await proofFor(method), { scheme: 'Bearer' }),
          ],
          [
            'a proof for another method of the service',
            'invalid_dpop_proof',
            'the proof is for another URI',
            () => prove(method, { url: `${htu(method)}s` }),
          ],
          [
            'a proof for another origin',
            'invalid_dpop_proof',
            'the proof is for another URI',
            () => prove(method, { url: `https://example.com${path(method)}` }),
          ],
          [
            'a proof for GET',
            'invalid_dpop_proof',
            'the proof is for another method',
            () => prove(method, { htm: 'GET' }),
          ],
          [
            'a proof of another key',
            'invalid_token',
            'the token is bound to another key',
            async () => prove(method, { keys: await dpop.generateKeyPair('ES256') }),
          ],
          [
            'a proof without ath',
            'invalid_dpop_proof',
            'a required claim of the proof is missing',
            () => prove(method, { bearer: '' }),
          ],
          [
            'a proof an hour old',
            'invalid_dpop_proof',
            'the proof is too old',
            async () => {
              const { ath } = JSON.parse(Buffer.from((await proofFor(method)).split('.')[1], 'base64url'));
              const iat = Math.floor(Date.now() / 1000) - 3600;
              return headers(await craftProof(keyPair, { htm: 'POST', htu: htu(method), nonce, ath, iat }));
            },
          ],
        ]) {
          test(`${method} with ${what} is rejected`, async () => {
            const expected = { code: UNAUTHENTICATED, error, message };
            const rejected = await expectRejected(client.call(method, await make()), expected);
            assert.equal(Boolean(rejected.header('dpop-nonce')), stack.nonces);
          });
        }

        const needsScope = method.startsWith('Place');
        test(`${method} without the scope is ${needsScope ? 'denied' : 'served'}`, async () => {
          const bearer = await issueToken(stack.provider, { keyPair, scope: 'orders:read' });
          const call = client.call(method, headers(await proofFor(method, { bearer }), { bearer }));
          if (!needsScope) return expectAnswers(method, await call);
          const message = 'the token lacks a scope';
          const rejected = await expectRejected(call, { code: PERMISSION_DENIED, error: 'insufficient_scope', message });
          assert.match(rejected.header('www-authenticate'), / scope="orders:write"/);
        });
      }

      test('health needs no token', async () => {
        assert.equal(await health(stack.server.origin, 'orders.v1.Orders'), 'SERVING');
      });
    },
    options,
  );
}
