import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import { Certificates } from '../certificates.mjs';
import { challengeOf, issueToken, thumbprint } from '../clients.mjs';
import { expectIdentity, issuer, startGateway } from '../gateways.mjs';
import { AUDIENCE, OTHER_AUDIENCE, SECRET, machine, startProvider } from '../provider.mjs';
import { overHttp1, overHttp2 } from '../transport.mjs';

/** The resource with opaque tokens. */
const OPAQUE = OTHER_AUDIENCE;
const SIGNED = { isOpaque: false, resource: AUDIENCE };
const FORMATS = [
  ['a JWT', SIGNED],
  ['an opaque token', { isOpaque: true, resource: OPAQUE }],
];

const hashOf = (certificates, name) =>
  createHash('sha256').update(new X509Certificate(certificates.tls(name).cert).raw).digest('base64url');

describe('tokens of oidc-provider that are bound to certificates, at a gateway that ends TLS', () => {
  let certificates, ca, provider, gateway;
  before(async () => {
    certificates = new Certificates();
    for (const name of ['servers', 'clients', 'strangers']) certificates.authority(name);
    certificates.server('localhost', 'servers', 'localhost');
    for (const name of ['alice', 'mallory']) certificates.client(name, 'clients');
    certificates.client('stranger', 'strangers');
    ca = readFileSync(certificates.path('servers.pem'));
    provider = await startProvider({
      tls: certificates.tls('localhost'),
      formats: { [OPAQUE]: 'opaque' },
      clients: [
        machine('certificate-client', { tls_client_certificate_bound_access_tokens: true }),
        machine('api', { grant_types: [] }),
      ],
      features: { introspection: { enabled: true } },
    });
    const introspection = { client_id: 'api', client_secret_file: 'secret' };
    gateway = await startGateway({
      issuers: [issuer(provider, [AUDIENCE, OPAQUE], { introspection })],
      routes: [
        { path: '/accounts', accept_certificate_bound: true },
        { path: '/payments', require_certificate_bound: true },
      ],
      files: { secret: SECRET },
      tls: {
        certificate_file: certificates.path('localhost.pem'),
        key_file: certificates.path('localhost.key'),
        client_ca_file: certificates.path('clients.pem'),
        client_certificates: 'optional',
      },
      // OpenSSL and rustls both read this variable to verify the provider.
      env: { SSL_CERT_FILE: certificates.path('servers.pem') },
      fetch: overHttp1({ ca }),
    });
  });
  after(async () => {
    await gateway?.stop();
    await provider?.stop();
    certificates.remove();
  });

  const as = (name) => ({ ca, ...(name && certificates.tls(name)) });
  /** Fetches a token over a connection with the certificate of Alice, and so one that is bound to it. */
  const boundToken = ({ isOpaque, resource }) =>
    issueToken(provider, {
      clientId: 'certificate-client',
      resource,
      isOpaque,
      thumbprint: hashOf(certificates, 'alice'),
      fetch: overHttp1(as('alice')),
    });
  const dpopToken = (keyPair) => issueToken(provider, { keyPair, fetch: overHttp1(as()) });
  /** oidc-provider binds a token to one of the two, so a customizer of the test adds the other. */
  async function doublyBoundToken(keyPair) {
    const x5t = hashOf(certificates, 'alice');
    provider.claims = { cnf: { jkt: await thumbprint(keyPair), 'x5t#S256': x5t } };
    try {
      return await issueToken(provider, { keyPair, thumbprint: x5t, fetch: overHttp1(as()) });
    } finally {
      provider.claims = {};
    }
  }
  /** Opaque tokens of a client have no subject. */
  const identity = (clientId, { isOpaque }) => ({
    issuer: provider.issuer,
    'client-id': clientId,
    ...(!isOpaque && { principal: `${provider.issuer} ${clientId}`, subject: clientId }),
  });

  for (const [protocol, over] of [
    ['HTTP/1.1', overHttp1],
    ['HTTP/2', overHttp2],
  ]) {
    describe(`over ${protocol}`, () => {
      async function call(path, token, certificate, keyPair) {
        const url = gateway.origin + path;
        const headers = { authorization: `${keyPair ? 'DPoP' : 'Bearer'} ${token}` };
        if (keyPair) headers.dpop = await dpop.generateProof(keyPair, url, 'GET', undefined, token);
        return over(as(certificate))(url, { headers });
      }
      async function expectRejected(response, description, scheme = 'bearer') {
        assert.equal(response.status, 401);
        const { error, error_description } = await challengeOf(response, scheme);
        assert.equal(error, 'invalid_token');
        assert.match(error_description, description);
        assert.equal((await response.text()).includes('issuer'), false);
      }

      for (const [what, format] of FORMATS) {
        test(`${what} that is bound to a certificate passes with it, and with no other`, async () => {
          const token = await boundToken(format);
          for (let i = 0; i < 2; i += 1) {
            const response = await call('/accounts', token, 'alice');
            await expectIdentity(response, identity('certificate-client', format));
            await expectRejected(await call('/accounts', token, 'mallory'), /certificate/);
            await expectRejected(await call('/accounts', token, undefined), /certificate/);
          }
        });

        test(`${what} that is bound to a certificate passes only where that is accepted`, async () => {
          const token = await boundToken(format);
          for (const path of ['/', '/payments']) {
            await expectRejected(await call(path, token, 'alice'), /DPoP/, 'dpop');
          }
        });
      }

      test('a token that is bound to a key and to a certificate needs both', async () => {
        const keyPair = await dpop.generateKeyPair('ES256');
        const token = await doublyBoundToken(keyPair);
        const thief = await dpop.generateKeyPair('ES256');
        for (const path of ['/', '/accounts', '/payments']) {
          await expectIdentity(await call(path, token, 'alice', keyPair), {
            ...identity('bound-client', SIGNED),
            thumbprint: await thumbprint(keyPair),
          });
          for (const other of ['mallory', undefined]) {
            await expectRejected(await call(path, token, other, keyPair), /certificate/, 'dpop');
          }
          await expectRejected(await call(path, token, 'alice', thief), /another key/, 'dpop');
          await expectRejected(await call(path, token, 'alice'), /DPoP/, path === '/accounts' ? 'bearer' : 'dpop');
        }
      });

      test('a token that is bound to a key alone passes without a certificate, but not for payments', async () => {
        const keyPair = await dpop.generateKeyPair('ES256');
        const token = await dpopToken(keyPair);
        for (const certificate of ['alice', undefined]) {
          await expectIdentity(await call('/accounts', token, certificate, keyPair), {
            ...identity('bound-client', SIGNED),
            thumbprint: await thumbprint(keyPair),
          });
          await expectRejected(await call('/payments', token, certificate, keyPair), /certificate/, 'dpop');
        }
      });

      test('an unbound token is rejected with a certificate, too', async () => {
        const token = await issueToken(provider, { fetch: overHttp1(as()) });
        await expectRejected(await call('/accounts', token, 'alice'), /bound/);
      });

      test('a certificate of an unknown authority ends the handshake', async () => {
        const token = await boundToken(SIGNED);
        await assert.rejects(call('/accounts', token, 'stranger'), /unknown ca|ECONNRESET|EPIPE/i);
      });
    });
  }
});
