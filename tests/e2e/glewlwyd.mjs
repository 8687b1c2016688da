import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as oauth from 'oauth4webapi';
import { freePort, startProgram } from './program.mjs';
import { AUDIENCE, SECRET, newKey } from './provider.mjs';

// Debian's package has the modules and the tables here.
const MODULES = '/usr/lib/glewlwyd';
const TABLES = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3';
const PLUGIN = 'oidc';
/** The only user of a new database. */
const ADMINISTRATOR = { username: 'admin', password: 'password' };
/** Glewlwyd needs no rights, so a test that runs as root takes them away. It is the user `nobody`. */
const NOBODY = 65_534;

export const SCOPE = 'orders';

/** Starts Glewlwyd with an empty database, its OpenID Connect plugin and the client `bound-client`. */
export async function startGlewlwyd({ alg = 'ES256' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'dpop-tower-glewlwyd-'));
  const [database, settings] = [join(folder, 'database'), join(folder, 'settings')];
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  execFileSync('sqlite3', [database], { stdio: [openSync(TABLES), 'pipe', 'inherit'] });
  writeFileSync(
    settings,
    `port = ${port}
bind_address = "127.0.0.1"
external_url = "${origin}"
login_url = "login.html"
api_prefix = "api"
log_mode = "console"
log_level = "WARNING"
cookie_domain = "127.0.0.1"
cookie_secure = 0
hash_algorithm = "SHA512"
user_module_path = "${MODULES}/user"
client_module_path = "${MODULES}/client"
user_auth_scheme_module_path = "${MODULES}/scheme"
plugin_module_path = "${MODULES}/plugin"
database = { type = "sqlite3"; path = "${database}"; };
`,
  );
  const isRoot = process.getuid() === 0;
  if (isRoot) for (const path of [folder, database, settings]) chownSync(path, NOBODY, NOBODY);
  const program = await startProgram('glewlwyd', {
    args: [`--config-file=${settings}`],
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
    isReady: async () => (await fetch(`${origin}/config`)).ok,
    // On SIGTERM, it waits for idle connections to close.
    stopWith: 'SIGKILL',
  });
  const stack = {
    issuer: `${origin}/api/${PLUGIN}`,
    // It has no metadata of RFC 8414.
    algorithm: 'oidc',
    // It does not decode HTTP Basic credentials (RFC 6749 section 2.3.1), in which the client encodes a hyphen.
    authenticate: oauth.ClientSecretPost,
    async stop() {
      await program.stop();
      rmSync(folder, { recursive: true });
    },
  };
  try {
    await configure(`${origin}/api`, stack.issuer, await newKey(alg, 'glewlwyd-1'));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return stack;
}

async function configure(api, issuer, key) {
  let cookie;
  const post = async (path, body) => {
    const headers = { 'content-type': 'application/json', ...(cookie && { cookie }) };
    const response = await fetch(api + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200, `${path}: ${await response.text()}`);
    return response;
  };
  const session = await post('/auth/', ADMINISTRATOR);
  [cookie] = session.headers.get('set-cookie').split(';');
  await post('/scope/', { name: SCOPE, display_name: SCOPE, password_required: false });
  await post('/mod/plugin/', {
    module: 'oidc',
    name: PLUGIN,
    display_name: PLUGIN,
    parameters: {
      iss: issuer,
      'jwks-private': JSON.stringify({ keys: [key] }),
      'jwks-show': true,
      'access-token-duration': 300,
      'refresh-token-duration': 300,
      'code-duration': 60,
      'refresh-token-rolling': false,
      'allow-non-oidc': true,
      'auth-type-client-enabled': true,
      'oauth-dpop-allowed': true,
      'oauth-dpop-iat-duration': 60,
      'oauth-dpop-iat-gap-duration': 10,
      'resource-allowed': true,
      'resource-scope': { [SCOPE]: [AUDIENCE] },
      'resource-scope-and-client-property': false,
    },
  });
  for (const client_id of ['bound-client', 'unbound-client']) {
    await post('/client/', {
      client_id,
      name: client_id,
      client_secret: SECRET,
      confidential: true,
      authorization_type: ['client_credentials'],
      token_endpoint_auth_method: ['client_secret_post'],
      redirect_uri: [],
      scope: [SCOPE],
      enabled: true,
    });
  }
}
