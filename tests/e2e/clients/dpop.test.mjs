import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { AUDIENCE, SECRET, startProvider } from '../provider.mjs';
import { startServer } from '../server.mjs';
import { startApache } from './apache.mjs';
import { startExpress } from './express.mjs';
import { newFolder } from './program.mjs';

const quickstart = async (provider) => startServer({ issuer: provider.issuer, nonces: true });

const requireNonce = { dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true } };

/** Fetches a token with client credentials, whose secret is not on the command line. */
const tokenCommand = ({ issuer }) => [
  ...['token', '--issuer', issuer, '--client-id', 'bound-client', '--client-secret-env', 'SECRET'],
  ...['--resource', AUDIENCE, '--key', 'key.json'],
];

for (const alg of ['ES256', 'Ed25519', 'PS256']) {
  describe(`dpop with a key for ${alg}, at an issuer that requires nonces`, () => {
    let files, provider, token;
    before(async () => {
      provider = await startProvider({ features: requireNonce });
      files = await newFolder();
      await files.succeed(['key', 'new', '--alg', alg, '--out', 'key.json']);
      token = (await files.succeed(tokenCommand(provider), { env: { SECRET } })).trim();
    });
    after(async () => {
      await provider?.stop();
      await files?.remove();
    });

    test('the token is bound to the key', async () => {
      const jkt = (await files.succeed(['key', 'thumbprint', 'key.json'])).trim();
      assert.equal(jose.decodeJwt(token).cnf.jkt, jkt);
    });

    for (const [name, start, supports] of [
      ['quickstart with nonces required', quickstart, ['ES256', 'Ed25519', 'PS256']],
      ['mod_oauth2 in Apache', startApache, ['ES256', 'PS256']],
      ['express-oauth2-jwt-bearer', startExpress, ['ES256', 'PS256']],
    ]) {
      if (!supports.includes(alg)) continue;
      describe(name, () => {
        let server;
        before(async () => (server = await start(provider)));
        after(() => server?.stop());
        const request = (key, ...args) =>
          files.run(['request', '--key', key, '--token-env', 'TOKEN', ...args, server.url], {
            env: { TOKEN: token },
          });
        test('dpop request is allowed, with GET and with POST', async () => {
          for (const args of [[], ['-X', 'POST', '-d', 'a=b']]) {
            const { code, stderr, stdout } = await request('key.json', ...args);
            assert.equal(code, 0, stderr + stdout);
            assert.ok(stdout.length > 0);
          }
        });
        test('another key is rejected, with exit code 1', async () => {
          await files.succeed(['key', 'new', '--alg', alg, '--out', 'other.json', '--force']);
          const { code } = await request('other.json');
          assert.equal(code, 1);
        });
      });
    }
  });
}
