import assert from 'node:assert/strict';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { AUDIENCE, SECRET } from './provider.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };

export const thumbprint = async ({ publicKey }) =>
  jose.calculateJwkThumbprint(await jose.exportJWK(publicKey));

/** Fetches the metadata of an issuer, as `oauth4webapi` needs them. */
export async function discover({ issuer, algorithm = 'oauth2' }, options = {}) {
  const url = new URL(issuer);
  const discovery = await oauth.discoveryRequest(url, { algorithm, ...loopback, ...options });
  return oauth.processDiscoveryResponse(url, discovery);
}

/**
 * Fetches a token with client credentials: bound to `keyPair`, or unbound without one.
 *
 * `isOpaque` says which format is expected, and `thumbprint` to which certificate the token is bound. `fetch`
 * takes the place of the function of that name.
 */
export async function issueToken(
  provider,
  {
    keyPair,
    resource = AUDIENCE,
    audience = resource,
    scope,
    options,
    clientId,
    isOpaque,
    thumbprint: x5t,
    fetch: customFetch,
  } = {},
) {
  const http = { ...loopback, ...(customFetch && { [oauth.customFetch]: customFetch }) };
  const as = await discover(provider, http);
  const client = { client_id: clientId ?? (keyPair ? 'bound-client' : 'unbound-client') };
  const DPoP = keyPair && oauth.DPoP(client, keyPair, options);
  const answer = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(
      as,
      client,
      (provider.authenticate ?? oauth.ClientSecretBasic)(SECRET),
      { ...(resource && { resource }), ...(scope && { scope }) },
      { DPoP, ...http },
    ),
  );
  // If the token were not the expected one, a rejection would prove nothing.
  assert.equal(answer.token_type, keyPair ? 'dpop' : 'bearer');
  if (isOpaque) {
    assert.throws(() => jose.decodeJwt(answer.access_token));
    return answer.access_token;
  }
  const claims = jose.decodeJwt(answer.access_token);
  assert.equal(claims.aud, audience);
  assert.equal(claims.scope, scope);
  assert.equal(claims.cnf?.jkt, keyPair && (await thumbprint(keyPair)));
  assert.equal(claims.cnf?.['x5t#S256'], x5t);
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

/** Makes a proof for a path of a server, and sends it with the token. */
export async function call({ origin }, path, token, keyPair) {
  const proof = await dpop.generateProof(keyPair, origin + path, 'GET', undefined, token);
  return send(origin + path, { token, proof });
}

/** Returns the parameters of the challenge of a scheme, as `oauth4webapi` parses them. */
export async function challengeOf(response, expected = 'dpop') {
  const replay = { [oauth.customFetch]: async () => response, ...loopback };
  const error = await oauth
    .protectedResourceRequest('-', 'GET', new URL(response.url), undefined, undefined, replay)
    .then(() => assert.fail(`no readable challenge in the ${response.status} answer`), (e) => e);
  assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
  const [challenge, ...others] = error.cause.filter(({ scheme }) => scheme === expected);
  assert.ok(challenge, `no challenge of the scheme ${expected}`);
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
