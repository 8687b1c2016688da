import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startProgram } from '../program.mjs';

const MODULES = '/usr/lib/apache2/modules';

/** Starts Apache with mod_oauth2, which admits tokens of this issuer only with a proof. */
export async function startApache({ issuer }) {
  const folder = await mkdtemp(join(tmpdir(), 'dpop-apache-'));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  await mkdir(join(folder, 'htdocs'));
  await writeFile(join(folder, 'htdocs', 'orders'), 'the orders\n');
  await writeFile(
    join(folder, 'httpd.conf'),
    `ServerRoot "${folder}"
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
PidFile "${folder}/httpd.pid"
ErrorLog "${folder}/error.log"
LogLevel oauth2:debug
DocumentRoot "${folder}/htdocs"
${['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'oauth2'].map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
<Location "/orders">
  AuthType oauth2
  Require valid-user
  OAuth2AcceptTokenIn header name=Authorization&type=DPoP
  OAuth2TokenVerify jwks_uri ${issuer}/jwks type=dpop
</Location>
`,
  );
  const isReady = async () => (await fetch(`${origin}/`)).status > 0;
  const { stop } = await startProgram('/usr/sbin/apache2', {
    args: ['-X', '-f', join(folder, 'httpd.conf')],
    isReady,
  });
  return {
    url: `${origin}/orders`,
    folder,
    async stop() {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
}
