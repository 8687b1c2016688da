import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import {
  altered,
  call,
  dpopClient,
  expectRejected,
  issueToken,
  oauth4webapiClient,
  send,
  thumbprint,
} from '../clients.mjs';
import { newFolder } from '../clients/program.mjs';
import { expectIdentity, issuer, startGateway } from '../gateways.mjs';
import { SCOPE, startGlewlwyd } from '../glewlwyd.mjs';
import { AUDIENCE, SECRET, startProvider } from '../provider.mjs';

for (const alg of ['ES256', 'RS256']) {
  describe(`a gateway with oidc-provider and Glewlwyd, which sign with ${alg}`, () => {
    let providers, gateway;
    before(async () => {
      const [op, glewlwyd] = await Promise.all([startProvider({ alg, scope: SCOPE }), startGlewlwyd({ alg })]);
      providers = { op, glewlwyd };
      gateway = await startGateway({
        issuers: [issuer(op, [AUDIENCE]), issuer(glewlwyd, [AUDIENCE])],
        routes: [
          { path: '/op', issuers: [op.issuer] },
          { path: '/glewlwyd', issuers: [glewlwyd.issuer] },
          { path: '/orders', scopes: [SCOPE] },
          { path: '/payments', scopes: ['payments'] },
        ],
      });
    });
    after(async () => {
      await gateway?.stop();
      await providers?.op.stop();
      await providers?.glewlwyd.stop();
    });
    /** All tokens are for the client of the same name at both. */
    const tokenOf = (name, keyPair, more) => issueToken(providers[name], { keyPair, scope: SCOPE, ...more });
    const identity = async (name, keyPair) => ({
      issuer: providers[name].issuer,
      principal: `${providers[name].issuer} bound-client`,
      scope: SCOPE,
      thumbprint: await thumbprint(keyPair),
    });

    test('Glewlwyd issues tokens of the documented shape', async () => {
      const keyPair = await dpop.generateKeyPair('ES256');
      const token = await tokenOf('glewlwyd', keyPair);
      const { typ, alg: signedWith } = jose.decodeProtectedHeader(token);
      assert.deepEqual({ typ, signedWith }, { typ: 'at+jwt', signedWith: alg });
      const { iss, aud, sub, client_id, scope, type } = jose.decodeJwt(token);
      assert.deepEqual(
        { iss, aud, sub, client_id, scope, type },
        {
          iss: providers.glewlwyd.issuer,
          aud: AUDIENCE,
          sub: 'bound-client',
          client_id: 'bound-client',
          scope: SCOPE,
          type: 'access_token',
        },
      );
    });

    for (const [library, { generateKeyPair }, makeClient] of [
      ['oauth4webapi', oauth, oauth4webapiClient],
      ['dpop', dpop, dpopClient],
    ]) {
      for (const proofAlg of ['ES256', 'Ed25519', 'RS256']) {
        // The client names the algorithm as RFC 9864 does, which Glewlwyd does not know yet.
        const options = proofAlg === 'Ed25519' && {
          [oauth.modifyAssertion]: (header) => Object.assign(header, { alg: 'EdDSA' }),
        };
        test(`both pass with ${library} and a key for ${proofAlg}, and are two principals`, async () => {
          const keyPair = await generateKeyPair(proofAlg);
          for (const name of ['op', 'glewlwyd']) {
            const client = makeClient(await tokenOf(name, keyPair, options && { options }), keyPair);
            for (const path of [`/${name}`, '/orders', '/']) {
              await expectIdentity(await client.request('POST', gateway.origin + path), await identity(name, keyPair));
            }
          }
        });
      }
    }

    test('dpop token gets a token of Glewlwyd, and dpop request passes with it', async () => {
      const files = await newFolder();
      try {
        await files.succeed(['key', 'new', '--out', 'key.json']);
        const token = await files.succeed(
          [
            ...['token', '--issuer', providers.glewlwyd.issuer, '--client-id', 'bound-client', '--key', 'key.json'],
            ...['--client-secret-env', 'SECRET', '--client-secret-post', '--scope', SCOPE, '--resource', AUDIENCE],
          ],
          { env: { SECRET } },
        );
        const body = await files.succeed(
          ['request', '--key', 'key.json', '--token-env', 'TOKEN', `${gateway.origin}/glewlwyd`],
          { env: { TOKEN: token.trim() } },
        );
        const jkt = (await files.succeed(['key', 'thumbprint', 'key.json'])).trim();
        assert.equal(JSON.parse(body).thumbprint, jkt);
      } finally {
        await files.remove();
      }
    });

    test('a token of one issuer is rejected on the route of the other', async () => {
      const keyPair = await dpop.generateKeyPair('ES256');
      for (const [name, other] of [
        ['op', 'glewlwyd'],
        ['glewlwyd', 'op'],
      ]) {
        const token = await tokenOf(name, keyPair);
        await expectRejected(await call(gateway, `/${other}`, token, keyPair), 'invalid_token');
        await expectIdentity(await call(gateway, `/${name}`, token, keyPair), await identity(name, keyPair));
      }
    });

    test('what is wrong with a token of Glewlwyd is rejected', async () => {
      const keyPair = await dpop.generateKeyPair('ES256');
      const token = await tokenOf('glewlwyd', keyPair);
      const [header, claims, signature] = token.split('.');
      const forged = [header, claims, altered(signature)].join('.');
      await expectRejected(await call(gateway, '/', forged, keyPair), 'invalid_token');
      const thief = await dpop.generateKeyPair('ES256');
      await expectRejected(await call(gateway, '/', token, thief), 'invalid_token');
      const asBearer = await send(`${gateway.origin}/`, { scheme: 'Bearer', token });
      await expectRejected(asBearer, 'invalid_token');
      const unbound = await tokenOf('glewlwyd', undefined);
      await expectRejected(await call(gateway, '/', unbound, keyPair), 'invalid_token');
      const missingScope = await call(gateway, '/payments', token, keyPair);
      assert.equal(missingScope.status, 403);
    });

    test('a token without a resource has its scopes as audience, and is rejected', async () => {
      const keyPair = await dpop.generateKeyPair('ES256');
      const token = await tokenOf('glewlwyd', keyPair, { resource: null, audience: SCOPE });
      await expectRejected(await call(gateway, '/', token, keyPair), 'invalid_token');
    });
  });
}
