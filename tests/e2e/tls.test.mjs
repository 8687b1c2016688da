import assert from 'node:assert/strict';
import { once } from 'node:events';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import * as jose from 'jose';
import { Certificates } from './certificates.mjs';
import { expectAllowed, send, thumbprint } from './clients.mjs';
import { AUDIENCE } from './provider.mjs';
import { startServer } from './server.mjs';

/** An issuer on https://localhost that counts the requests for its documents. */
async function startIssuer(tls) {
  const { privateKey, publicKey } = await jose.generateKeyPair('ES256');
  const key = { ...(await jose.exportJWK(publicKey)), alg: 'ES256', kid: '1', use: 'sig' };
  const server = https.createServer(tls).listen(0, 'localhost');
  await once(server, 'listening');
  const issuer = `https://localhost:${server.address().port}`;
  const documents = {
    '/.well-known/oauth-authorization-server': { issuer, jwks_uri: `${issuer}/jwks` },
    '/jwks': { keys: [key] },
  };
  const stack = {
    issuer,
    requests: 0,
    handshakesFailed: 0,
    token: (jkt) =>
      new jose.SignJWT({ client_id: 'bound-client', cnf: { jkt } })
        .setProtectedHeader({ alg: 'ES256', kid: '1', typ: 'at+jwt' })
        .setIssuer(issuer)
        .setAudience(AUDIENCE)
        .setSubject('bound-client')
        .setJti(crypto.randomUUID())
        .setIssuedAt()
        .setExpirationTime('5 minutes')
        .sign(privateKey),
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  server.on('tlsClientError', () => (stack.handshakesFailed += 1));
  server.on('request', (request, response) => {
    stack.requests += 1;
    const document = documents[request.url];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  return stack;
}

async function call(issuer, server) {
  const keyPair = await dpop.generateKeyPair('ES256');
  const token = await issuer.token(await thumbprint(keyPair));
  const proof = await dpop.generateProof(keyPair, server.url, 'GET', undefined, token);
  return { keyPair, response: await send(server.url, { token, proof }) };
}

async function expectUnavailable(issuer, response) {
  assert.equal(response.status, 503);
  assert.ok(response.headers.get('retry-after'));
  // The handshake failed, so no document was requested.
  assert.ok(issuer.requests === 0 && issuer.handshakesFailed > 0);
}

describe('the keys of an issuer with TLS', () => {
  let certificates;
  before(() => {
    certificates = new Certificates();
    certificates.authority('trusted');
    certificates.authority('unknown');
    certificates.server('good', 'trusted', 'localhost');
    certificates.server('of-unknown', 'unknown', 'localhost');
    certificates.server('of-another-host', 'trusted', 'idp.example.com');
  });
  after(() => certificates.remove());

  for (const [what, name, passes] of [
    ['with a certificate for its name from a trusted authority are used', 'good', true],
    ['with a certificate from an unknown authority are not', 'of-unknown', false],
    ['with a certificate for another name are not', 'of-another-host', false],
  ]) {
    test(what, async () => {
      const issuer = await startIssuer(certificates.tls(name));
      // OpenSSL and rustls both read this variable.
      const env = { SSL_CERT_FILE: certificates.path('trusted.pem') };
      const server = await startServer({ issuer: issuer.issuer, env });
      try {
        const { keyPair, response } = await call(issuer, server);
        if (passes) {
          await expectAllowed(response, keyPair);
          assert.ok(issuer.requests > 0 && issuer.handshakesFailed === 0);
        } else {
          await expectUnavailable(issuer, response);
        }
      } finally {
        await server.stop();
        await issuer.stop();
      }
    });
  }

  test('are not used by a program without root certificates, if it starts', async () => {
    const issuer = await startIssuer(certificates.tls('good'));
    const env = { SSL_CERT_FILE: certificates.path('none'), SSL_CERT_DIR: certificates.path('none') };
    let server;
    try {
      server = await startServer({ issuer: issuer.issuer, env });
      await expectUnavailable(issuer, (await call(issuer, server)).response);
    } catch (error) {
      if (server) throw error;
      assert.match(error.message, /HTTP client for the issuer's keys cannot be set up/);
    } finally {
      await server?.stop();
      await issuer.stop();
    }
  });
});
