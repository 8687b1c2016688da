import { once } from 'node:events';
import http from 'node:http';
import * as jose from 'jose';
import Provider from 'oidc-provider';

export const AUDIENCE = 'https://api.example.com';
export const OTHER_AUDIENCE = 'https://billing.example.com';
export const SECRET = 'only-ever-seen-on-loopback';

// The warnings are advice for production, and would obscure the report of the tests.
console.info = console.warn = () => {};

/** Starts an authorization server whose access tokens are JWTs signed with `alg`, with any of these scopes. */
export async function startProvider({ alg = 'ES256', scope = '' } = {}) {
  // The issuer's URL contains the port, so the socket is opened before the provider is created.
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;

  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  const key = { ...(await jose.exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-1` };
  const client = (client_id, bound) => ({
    client_id,
    client_secret: SECRET,
    dpop_bound_access_tokens: bound,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  });
  const stack = {
    issuer,
    // Merged into the claims of all tokens issued from now on.
    claims: {},
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  const provider = new Provider(issuer, {
    clients: [client('bound-client', true), client('unbound-client', false)],
    clientDefaults: { id_token_signed_response_alg: alg },
    enabledJWA: {
      dPoPSigningAlgValues: ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256'],
      idTokenSigningAlgValues: [alg],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      // A nonce secret without `requireNonce` makes nonces possible but not required.
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7) },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, audience) => ({
          audience,
          scope,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg } },
        }),
      },
    },
    formats: {
      customizers: { jwt: (_ctx, _token, jwt) => Object.assign(jwt.payload, stack.claims) },
    },
    jwks: { keys: [key] },
  });
  server.on('request', provider.callback());
  return stack;
}
