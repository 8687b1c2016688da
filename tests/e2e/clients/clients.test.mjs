import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WebcryptoKey } from '@atproto/jwk-webcrypto';
import { DpopSession, generateDpopKeyPair, isDpopNonceChallenge } from '@modelcontextprotocol/client';
import * as jose from 'jose';
import * as openid from 'openid-client';
import { discover, issueToken } from '../clients.mjs';
import { AUDIENCE, SECRET } from '../provider.mjs';
import { inBothModes } from '../server.mjs';

// The package does not export the function that its sessions call.
const atproto = new URL('../node_modules/@atproto/oauth-client/dist/fetch-dpop.js', import.meta.url);
const { dpopFetchWrapper } = await import(atproto);

const sha256 = async (text) => createHash('sha256').update(text).digest('base64url');

/** Counts the requests that a client makes with the function `fetch`. */
function counted() {
  const counter = { requests: 0 };
  counter.fetch = (...request) => {
    counter.requests += 1;
    return fetch(...request);
  };
  return counter;
}

/** A client that gets its own token, with the nonces of its library for both servers. */
async function openidClient({ provider, url }) {
  const counter = counted();
  const authentication = openid.ClientSecretBasic(SECRET);
  const config = await openid.discovery(new URL(provider.issuer), 'bound-client', SECRET, authentication, {
    execute: [openid.allowInsecureRequests],
    algorithm: 'oauth2',
  });
  const keyPair = await openid.randomDPoPKeyPair('ES256');
  const DPoP = openid.getDPoPHandle(config, keyPair);
  const { access_token: token, token_type: type } = await openid.clientCredentialsGrant(
    config,
    { resource: AUDIENCE },
    { DPoP },
  );
  assert.equal(type, 'dpop');
  config[openid.customFetch] = counter.fetch;
  const request = (method) =>
    openid.fetchProtectedResource(config, token, new URL(url), method, null, new Headers(), { DPoP });
  return { request, counter, jkt: await jose.calculateJwkThumbprint(await jose.exportJWK(keyPair.publicKey)) };
}

async function mcpClient({ provider, url }) {
  const counter = counted();
  const keyPair = await generateDpopKeyPair({ extractable: true });
  const token = await issueToken(provider, { keyPair });
  const session = await DpopSession.create({ keyPair });
  const once = async (method) => {
    const proof = await session.buildProof({ htm: method, htu: url, accessToken: token });
    const headers = { authorization: `DPoP ${token}`, dpop: proof };
    const response = await counter.fetch(url, { method, headers });
    session.observeNonce(response, url);
    return response;
  };
  const request = async (method) => {
    const response = await once(method);
    return isDpopNonceChallenge(response) ? once(method) : response;
  };
  return { request, counter, jkt: session.thumbprint };
}

async function atprotoClient({ provider, url }) {
  const counter = counted();
  const keyPair = await jose.generateKeyPair('ES256', { extractable: true });
  const key = await WebcryptoKey.fromKeypair(keyPair);
  const token = await issueToken(provider, { keyPair });
  const nonces = new Map();
  const dpopFetch = dpopFetchWrapper({
    key,
    nonces: { get: (origin) => nonces.get(origin), set: (origin, nonce) => void nonces.set(origin, nonce) },
    sha256,
    isAuthServer: false,
    fetch: counter.fetch,
  });
  const request = (method) => dpopFetch(url, { method, headers: { authorization: `DPoP ${token}` } });
  return { request, counter, jkt: await jose.calculateJwkThumbprint(await jose.exportJWK(keyPair.publicKey)) };
}

inBothModes('clients of others', (stack) => {
  for (const [library, makeClient] of [
    ['openid-client', openidClient],
    ['DpopSession of @modelcontextprotocol/client', mcpClient],
    ['@atproto/oauth-client', atprotoClient],
  ]) {
    describe(library, () => {
      let client;
      before(async () => {
        client = await makeClient(stack);
      });
      test('its requests are allowed, with one nonce challenge at most', async () => {
        for (let i = 0; i < 10; i += 1) {
          const response = await client.request(i % 2 ? 'POST' : 'GET');
          const body = await response.text();
          assert.equal(response.status, 200, `${response.headers.get('www-authenticate')} ${body}`);
          assert.equal(JSON.parse(body).jkt, client.jkt);
        }
        assert.equal(client.counter.requests, stack.nonces ? 11 : 10);
      });
    });
  }

  test('requests-oauth2client is allowed, with one nonce challenge at most', async () => {
    const { PYTHON } = process.env;
    assert.ok(PYTHON, 'PYTHON must name an interpreter that has the package');
    const script = fileURLToPath(new URL('python_client.py', import.meta.url));
    const { token_endpoint: endpoint } = await discover(stack.provider);
    const { stdout } = await promisify(execFile)(PYTHON, [script, endpoint, SECRET, AUDIENCE, stack.url]);
    const { received, answers, jkt } = JSON.parse(stdout);
    for (const { status, body } of answers) {
      assert.equal(status, 200, body);
      assert.equal(JSON.parse(body).jkt, jkt);
    }
    assert.equal(received, stack.nonces ? 11 : 10);
  });
});
