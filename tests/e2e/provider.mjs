import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import * as jose from 'jose';
import Provider from 'oidc-provider';

export const AUDIENCE = 'https://api.example.com';
export const OTHER_AUDIENCE = 'https://billing.example.com';
export const SECRET = 'only-ever-seen-on-loopback';

// The warnings are advice for production, and would obscure the report of the tests.
console.info = console.warn = () => {};

/** Registers a client that gets tokens for itself. `metadata` can say that they are bound. */
export const machine = (client_id, metadata) => ({
  client_id,
  client_secret: SECRET,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  ...metadata,
});

export async function newKey(alg, kid = `${alg}-1`) {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { ...(await jose.exportJWK(privateKey)), alg, use: 'sig', kid };
}

/**
 * Starts an authorization server whose access tokens are JWTs signed with `alg`, with any of these scopes.
 *
 * | option | meaning |
 * | --- | --- |
 * | `formats` | the format of the tokens for an audience, if it is not `jwt` |
 * | `clients`, `features` | further ones |
 * | `keys` | the keys to sign with and to publish; the first of `alg` signs |
 * | `tls` | options of a TLS server on `localhost`, which asks clients for a certificate |
 * | `port` | the port of a server that has been stopped |
 */
export async function startProvider({
  alg = 'ES256',
  scope = '',
  formats = {},
  clients = [],
  features = {},
  keys,
  tls,
  port = 0,
} = {}) {
  const host = tls ? 'localhost' : '127.0.0.1';
  // The provider does not verify certificates of clients. It binds tokens to them.
  const server = tls
    ? https.createServer({ requestCert: true, rejectUnauthorized: false, ...tls })
    : http.createServer();
  // The issuer's URL contains the port, so the socket is opened before the provider is created.
  await once(server.listen(port, host), 'listening');
  port = server.address().port;
  const issuer = `${tls ? 'https' : 'http'}://${host}:${port}`;

  const calls = new Map();
  const stack = {
    issuer,
    port,
    // Merged into the claims of all tokens issued from now on.
    claims: {},
    /** Returns how often a path was requested. */
    calls: (path) => calls.get(path) ?? 0,
    /** Ends the connections, and accepts no others. */
    async stop() {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
    /** Undoes `stop`. */
    restart: () => once(server.listen(port, host), 'listening'),
  };
  const provider = new Provider(issuer, {
    clients: [
      machine('bound-client', { dpop_bound_access_tokens: true }),
      machine('unbound-client', { dpop_bound_access_tokens: false }),
      ...clients,
    ],
    clientDefaults: {
      id_token_signed_response_alg: alg,
      ...(features.jwtIntrospection && { introspection_signed_response_alg: alg }),
    },
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256'],
      dPoPSigningAlgValues: ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256'],
      idTokenSigningAlgValues: [alg],
      introspectionSigningAlgValues: [alg],
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
          accessTokenFormat: formats[audience] ?? 'jwt',
          jwt: { sign: { alg } },
        }),
      },
      ...(tls && {
        mTLS: {
          enabled: true,
          certificateBoundAccessTokens: true,
          getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        },
      }),
      ...features,
    },
    formats: {
      customizers: { jwt: (_ctx, _token, jwt) => Object.assign(jwt.payload, stack.claims) },
    },
    jwks: { keys: keys ?? [await newKey(alg)] },
  });
  server.on('request', (request) => calls.set(request.url, stack.calls(request.url) + 1));
  server.on('request', provider.callback());
  return stack;
}
