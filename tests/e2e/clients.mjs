import assert from 'node:assert/strict';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { AUDIENCE, SECRET } from './provider.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };

export const thumbprint = async ({ publicKey }) =>
  jose.calculateJwkThumbprint(await jose.exportJWK(publicKey));

/** Fetches a token with client credentials: bound to `keyPair`, or unbound without one. */
export async function issueToken({ issuer }, { keyPair, resource = AUDIENCE, scope, options } = {}) {
  const discovery = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...loopback });
  const as = await oauth.processDiscoveryResponse(new URL(issuer), discovery);
  const client = { client_id: keyPair ? 'bound-client' : 'unbound-client' };
  const DPoP = keyPair && oauth.DPoP(client, keyPair, options);
  const answer = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic(SECRET),
      { resource, ...(scope && { scope }) },
      { DPoP, ...loopback },
    ),
  );
  // If the token were not the expected one, a rejection would prove nothing.
  const claims = jose.decodeJwt(answer.access_token);
  assert.equal(answer.token_type, keyPair ? 'dpop' : 'bearer');
  assert.equal(claims.aud, resource);
  assert.equal(claims.scope, scope);
  assert.equal(claims.cnf?.jkt, keyPair && (await thumbprint(keyPair)));
  return answer.access_token;
}

// Both clients retry as the documentation of their library describes. `challenged` counts the retries.
export function oauth4webapiClient(token, keyPair, options) {
  const DPoP = keyPair && oauth.DPoP({ client_id: 'bound-client' }, keyPair, options);
  const client = {
    challenged: 0,
    async request(method, url) {
      const once = () =>
        oauth.protectedResourceRequest(token, method, new URL(url), undefined, undefined, { DPoP, ...loopback });
      try {
        return await once();
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        client.challenged += 1;
        return once();
      }
    },
  };
  return client;
}

export function dpopClient(token, keyPair) {
  let nonce;
  const client = {
    challenged: 0,
    async request(method, url) {
      const { origin, pathname } = new URL(url);
      const once = async () => {
        const proof = await dpop.generateProof(keyPair, origin + pathname, method, nonce, token);
        const response = await send(url, { method, token, proof });
        nonce = response.headers.get('dpop-nonce') ?? nonce;
        return response;
      };
      const response = await once();
      if (response.ok || (await challengeOf(response)).error !== 'use_dpop_nonce') return response;
      client.challenged += 1;
      return once();
    },
  };
  return client;
}

export function send(url, { method = 'GET', scheme = 'DPoP', token, proof } = {}) {
  const headers = new Headers();
  if (token) headers.set('authorization', `${scheme} ${token}`);
  if (proof) headers.set('dpop', proof);
  return fetch(url, { method, headers, redirect: 'error' });
}

/** Returns the parameters of the DPoP challenge, as `oauth4webapi` parses them. */
export async function challengeOf(response) {
  const replay = { [oauth.customFetch]: async () => response, ...loopback };
  const error = await oauth
    .protectedResourceRequest('-', 'GET', new URL(response.url), undefined, undefined, replay)
    .then(() => assert.fail(`no readable challenge in the ${response.status} answer`), (e) => e);
  assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
  const [challenge, ...others] = error.cause.filter(({ scheme }) => scheme === 'dpop');
  assert.ok(challenge, 'no challenge of the DPoP scheme');
  assert.equal(others.length, 0);
  return challenge.parameters;
}

/** Returns the server's current nonce, or `undefined` if it does not require one. */
export async function nonceOf({ nonces, server: { url, htu } }, token, keyPair) {
  if (!nonces) return undefined;
  const proof = await dpop.generateProof(keyPair, htu, 'GET', undefined, token);
  return expectRejected(await send(url, { token, proof }), 'use_dpop_nonce');
}

/** Changes the middle, since decoders may ignore some bits of the last base64url character. */
export function altered(text) {
  const middle = text.length >> 1;
  return text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1);
}

/** Makes a proof that neither library can make. */
export async function craftProof(keyPair, claims, header) {
  const jwk = await jose.exportJWK(keyPair.publicKey);
  return new jose.SignJWT({ jti: crypto.randomUUID(), iat: Math.floor(Date.now() / 1000), ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
    .sign(keyPair.privateKey);
}

export async function expectAllowed(response, keyPair) {
  const body = await response.text();
  assert.equal(response.status, 200, `${response.headers.get('www-authenticate')} ${body}`);
  assert.deepEqual(JSON.parse(body), { sub: 'bound-client', jkt: await thumbprint(keyPair) });
}

/** Resolves to the nonce in the rejection, if there is one. */
export async function expectRejected(response, error) {
  assert.equal(response.status, 401);
  const challenge = await challengeOf(response);
  assert.equal(challenge.error, error);
  assert.match(challenge.algs, /(^| )ES256( |$)/);
  assert.doesNotMatch(await response.text(), /"jkt"/);
  const nonce = response.headers.get('dpop-nonce');
  if (error === 'use_dpop_nonce') assert.ok(nonce, 'no nonce to go on with');
  return nonce;
}
