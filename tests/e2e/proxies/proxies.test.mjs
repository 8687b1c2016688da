// Proxies of other projects, configured by the files in docs/forward-auth, protect a service with the gateway.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import { dpopClient, expectRejected, issueToken, send, thumbprint } from '../clients.mjs';
import { startProvider } from '../provider.mjs';
import { PROXIES, raw, startStack } from './stack.mjs';

/** Paths that proxies and services are known to read in different ways. */
const SPELLINGS = [
  '/orders',
  '/orders/',
  '/orders?x=%2F&y=1',
  '/orders%2F1',
  '/%6frders',
  '/orders;v=1',
  '//orders',
  '/orders//1',
  '/a/../orders',
  '/a/%2e%2e/orders',
  '/a/..%2forders',
  '/./orders',
  '/orders%00',
  '/orders%5c..',
  '/orders%',
  '/ORDERS',
];

/** The same URI as /orders by RFC 3986 section 6.2.2, so that a proof for one is a proof for the other. */
const SAME_URI = ['/orders', '/%6Frders', '/a/../orders', '/a/%2E%2E/orders', '/./orders'];

/** Returns the request that the service got. The body may be sent in chunks. */
const seen = ({ body }) => JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1));
const seenTarget = (response) => withUpperCase(seen(response).target);
/** RFC 3986 section 6.2.2.1: the case of the digits in an escape makes no difference. */
const withUpperCase = (target) => target.replace(/%[0-9a-f]{2}/gi, (escape) => escape.toUpperCase());

for (const name of Object.keys(PROXIES)) {
  describe(`${name} in front of a service`, () => {
    let stack, provider, keyPair, token;
    before(async () => {
      provider = await startProvider();
      keyPair = await dpop.generateKeyPair('ES256');
      token = await issueToken(provider, { keyPair });
      stack = await startStack(name, provider);
    });
    after(async () => {
      await stack?.stop();
      await provider?.stop();
    });

    const proof = (path, method = 'GET', nonce) =>
      dpop.generateProof(keyPair, stack.origin + path.split('?')[0], method, nonce, token);
    const credentials = async (path, method) => [`Authorization: DPoP ${token}`, `DPoP: ${await proof(path, method)}`];

    test('a request with a proof reaches the service, which learns who calls and gets no credentials', async () => {
      const response = await send(`${stack.origin}/orders`, { token, proof: await proof('/orders') });
      assert.equal(response.status, 200, response.headers.get('www-authenticate'));
      const { headers } = await response.json();
      assert.equal(headers['x-dpop-thumbprint'], await thumbprint(keyPair));
      assert.equal(headers['x-dpop-issuer'], provider.issuer);
      assert.equal(headers.authorization, undefined);
      assert.equal(headers.dpop, undefined);
    });

    test('a POST with a body reaches the service', async () => {
      const response = await fetch(`${stack.origin}/orders`, {
        method: 'POST',
        headers: { authorization: `DPoP ${token}`, dpop: await proof('/orders', 'POST') },
        body: 'x'.repeat(100_000),
      });
      assert.equal(response.status, 200);
      assert.equal((await response.json()).method, 'POST');
    });

    test('what a thief sends is rejected, and the challenge reaches the client', async () => {
      const url = `${stack.origin}/orders`;
      const served = stack.service.served;
      const used = await proof('/orders');
      assert.equal((await send(url, { token, proof: used })).status, 200);
      await expectRejected(await send(url, { token, proof: used }), 'invalid_dpop_proof');
      await expectRejected(await send(url, { token, scheme: 'Bearer' }), 'invalid_token');
      await expectRejected(await send(url, { token }), 'invalid_dpop_proof');
      await expectRejected(await send(url, { token, proof: await proof('/orders', 'POST') }), 'invalid_dpop_proof');
      await expectRejected(await send(url, { token, proof: await proof('/other') }), 'invalid_dpop_proof');
      const thief = await dpop.generateKeyPair('ES256');
      const stolen = await dpop.generateProof(thief, url, 'GET', undefined, token);
      await expectRejected(await send(url, { token, proof: stolen }), 'invalid_token');
      const nothing = await send(url);
      assert.equal(nothing.status, 401);
      assert.match(nothing.headers.get('www-authenticate'), /^DPoP /);
      assert.equal(stack.service.served, served + 1);
    });

    test('a header that must be there once is not accepted twice', async () => {
      const served = stack.service.served;
      for (const twice of [0, 1]) {
        const headers = await credentials('/orders');
        const response = await raw(stack.port, '/orders', [...headers, headers[twice]]);
        assert.ok([400, 401].includes(response.status), response.head);
      }
      assert.equal(stack.service.served, served);
    });

    test('the service does not get identity headers that the client has written', async () => {
      for (const forged of ['X-DPoP-Subject: mallory', 'x_dpop_subject: mallory', 'X-DPoP-Thumbprint: mallory']) {
        const response = await raw(stack.port, '/orders', [...(await credentials('/orders')), forged]);
        assert.ok(response.status === 400 || !response.body.includes('mallory'), response.body);
      }
    });

    test('the service does not get what the client has written as a header of proxies', async () => {
      const forged = ['Forwarded: for=mallory', 'X-Real-IP: mallory', 'X-Forwarded-Prefix: /mallory', 'Client-Cert: mallory'];
      for (const header of forged) {
        const response = await raw(stack.port, '/orders', [...(await credentials('/orders')), header]);
        assert.ok([200, 400].includes(response.status), response.head);
        assert.ok(!response.body.includes('mallory'), `${header}: ${response.body}`);
      }
    });

    test('a client that names identity headers in Connection does not have them removed', async () => {
      const connection = 'Connection: close, X-DPoP-Thumbprint, X-DPoP-Issuer';
      const response = await raw(stack.port, '/orders', [...(await credentials('/orders')), connection]);
      if (response.status === 200) {
        const { headers } = seen(response);
        assert.equal(headers['x-dpop-thumbprint'], await thumbprint(keyPair));
        assert.equal(headers['x-dpop-issuer'], provider.issuer);
      } else {
        assert.equal(response.status, 400, response.head);
      }
    });

    test('a path is what the gateway checked, or it does not reach the service', async () => {
      const admitted = [];
      for (const target of SPELLINGS) {
        const served = stack.service.served;
        const response = await raw(stack.port, target, await credentials(target));
        if (response.status === 200) {
          // A proxy may resolve dot segments before it asks. The proof is for the same URI.
          if (!SAME_URI.includes(seenTarget(response)) || !SAME_URI.includes(withUpperCase(target))) {
            assert.equal(seenTarget(response), withUpperCase(target));
          }
          admitted.push(target);
        } else {
          assert.equal(stack.service.served, served, target);
        }
      }
      const honest = ['/orders', '/orders/', '/orders?x=%2F&y=1', '/orders%2F1', '/orders;v=1'];
      for (const target of honest.filter((target) => !PROXIES[name].rejects?.includes(target))) {
        assert.ok(admitted.includes(target), `${target} is an honest path; admitted were ${admitted}`);
      }
    });

    test('a proof for one path does not open another one of the service', async () => {
      for (const target of SPELLINGS.slice(1).filter((target) => !target.startsWith('/orders?'))) {
        const response = await raw(stack.port, target, await credentials('/orders'));
        // A proxy may merge slashes before it asks, and forwards the path that it asked about.
        if (response.status === 200) assert.ok(SAME_URI.includes(seenTarget(response)), target);
      }
    });

    test('a nonce gets to the client, and its next request passes', async () => {
      const strict = await startStack(name, provider, { nonces: 'required' });
      try {
        const client = dpopClient(token, keyPair);
        assert.equal((await client.request('GET', `${strict.origin}/orders`)).status, 200);
        assert.equal(client.challenged, 1);
        assert.equal((await client.request('GET', `${strict.origin}/orders`)).status, 200);
        assert.equal(client.challenged, 1);
      } finally {
        await strict.stop();
      }
    });

    test('nothing reaches the service while the gateway is down', async () => {
      await stack.stopGateway();
      const served = stack.service.served;
      const response = await send(`${stack.origin}/orders`, { token, proof: await proof('/orders') });
      assert.equal(response.status, PROXIES[name].withoutGateway);
      assert.equal(stack.service.served, served);
    });
  });
}
