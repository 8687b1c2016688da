import assert from 'node:assert/strict';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { discover, thumbprint } from './clients.mjs';
import { AUDIENCE, SECRET } from './provider.mjs';

const REDIRECT_URI = 'http://127.0.0.1/callback';
const loopback = { [oauth.allowInsecureRequests]: true };

/** Options for `startProvider`: a client that users sign in to. The provider accepts any name. */
export const withUsers = {
  scope: 'orders:read',
  clients: [
    {
      client_id: 'web-app',
      client_secret: SECRET,
      dpop_bound_access_tokens: true,
      redirect_uris: [REDIRECT_URI],
    },
  ],
  features: { devInteractions: { enabled: true } },
};

/** Does what a browser and its user do: follows redirects, signs in, and consents. Returns the last URL. */
async function signIn(url, login) {
  const cookies = new Map();
  const prompts = ['login', 'consent'];
  for (let steps = 0; steps < 10; steps += 1) {
    const isPrompt = new URL(url).pathname.startsWith('/interaction/');
    const form = isPrompt && { method: 'POST', body: new URLSearchParams({ prompt: prompts.shift(), login }) };
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...form, headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    assert.ok(location, `${response.status} of ${url} is no redirect: ${await response.text()}`);
    url = new URL(location, url).href;
    if (url.startsWith(REDIRECT_URI)) return new URL(url);
  }
  return assert.fail('too many redirects');
}

/** Fetches a token for a user, bound to `keyPair`, with the authorization code flow. */
export async function issueUserToken(provider, { keyPair, user, resource = AUDIENCE, isOpaque }) {
  const as = await discover(provider);
  const client = { client_id: 'web-app' };
  const verifier = oauth.generateRandomCodeVerifier();
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    redirect_uri: REDIRECT_URI,
    resource,
    response_type: 'code',
    scope: withUsers.scope,
  });
  const parameters = oauth.validateAuthResponse(as, client, await signIn(url.href, user));
  const answer = await oauth.processAuthorizationCodeResponse(
    as,
    client,
    await oauth.authorizationCodeGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic(SECRET),
      parameters,
      REDIRECT_URI,
      verifier,
      { DPoP: oauth.DPoP(client, keyPair), additionalParameters: { resource }, ...loopback },
    ),
  );
  assert.equal(answer.token_type, 'dpop');
  if (isOpaque) {
    assert.throws(() => jose.decodeJwt(answer.access_token));
  } else {
    const { aud, cnf, sub } = jose.decodeJwt(answer.access_token);
    assert.deepEqual({ aud, cnf, sub }, { aud: resource, cnf: { jkt: await thumbprint(keyPair) }, sub: user });
  }
  return answer.access_token;
}
