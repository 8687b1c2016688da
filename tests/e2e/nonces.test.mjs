import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as dpop from 'dpop';
import { altered, expectAllowed, expectRejected, issueToken, nonceOf, send } from './clients.mjs';
import { inBothModes } from './server.mjs';

inBothModes('nonces', (stack) => {
  async function session() {
    const keyPair = await dpop.generateKeyPair('ES256');
    const token = await issueToken(stack.provider, { keyPair });
    const prove = (nonce) => dpop.generateProof(keyPair, stack.url, 'GET', nonce, token);
    return { keyPair, token, attempt: async (nonce) => send(stack.url, { token, proof: await prove(nonce) }) };
  }

  if (stack.nonces) {
    test('a proof without a nonce is challenged, and passes with the nonce of the challenge', async () => {
      const { keyPair, attempt } = await session();
      const nonce = await expectRejected(await attempt(), 'use_dpop_nonce');
      await expectAllowed(await attempt(nonce), keyPair);
    });

    for (const [what, spoil] of [
      ['the server never gave', () => crypto.randomUUID()],
      ['of the server with a character changed', altered],
      ['that is empty', () => ''],
    ]) {
      test(`a nonce ${what} is answered with another, which passes`, async () => {
        const { keyPair, token, attempt } = await session();
        const spoilt = spoil(await nonceOf(stack, token, keyPair));
        const nonce = await expectRejected(await attempt(spoilt), 'use_dpop_nonce');
        assert.notEqual(nonce, spoilt);
        await expectAllowed(await attempt(nonce), keyPair);
      });
    }
  } else {
    test('no answer asks for a nonce', async () => {
      const { keyPair, token, attempt } = await session();
      const allowed = await attempt();
      await expectAllowed(allowed, keyPair);
      assert.equal(allowed.headers.get('dpop-nonce'), null);
      const nonce = await expectRejected(await send(stack.url, { token }), 'invalid_dpop_proof');
      assert.equal(nonce, null);
    });
  }
});
