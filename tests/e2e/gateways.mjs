// `dpop gateway` with any file, in front of a service that returns the identity headers that it receives.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startProgram } from './program.mjs';

const binary = process.env.DPOP_BIN ?? fileURLToPath(new URL('../../target/debug/dpop', import.meta.url));
const IDENTITY = 'x-dpop-';

async function startUpstream() {
  const server = http.createServer((request, response) => {
    request.resume();
    const { authorization, dpop } = request.headers;
    if (authorization ?? dpop) return response.writeHead(500).end();
    const identity = Object.entries(request.headers).filter(([name]) => name.startsWith(IDENTITY));
    response.setHeader('content-type', 'application/json');
    const shown = identity.map(([name, value]) => [name.slice(IDENTITY.length), value]);
    return response.end(JSON.stringify(Object.fromEntries(shown)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

function value(any) {
  if (Array.isArray(any)) return `[${any.map(value).join(', ')}]`;
  if (typeof any !== 'object') return JSON.stringify(any);
  const members = Object.entries(any).map(([name, member]) => `${name} = ${value(member)}`);
  return `{ ${members.join(', ')} }`;
}

const table = (members) =>
  Object.entries(members)
    .map(([name, member]) => `${name} = ${value(member)}\n`)
    .join('');

/** Returns an `[[issuer]]` for a provider of this suite. */
export const issuer = (provider, audiences, more) => ({
  url: provider.issuer,
  audiences,
  danger_allow_plain_http: provider.issuer.startsWith('http:'),
  ...more,
});

/**
 * Starts the gateway with a file of these `issuers`, `routes` and other `tables`. Secrets and keys come from
 * `files`. With `tls`, the gateway listens on https://localhost, and `fetch` has to reach it.
 */
export async function startGateway({ issuers, routes = [], tables = {}, files = {}, tls, env, fetch: get = fetch }) {
  const folder = mkdtempSync(join(tmpdir(), 'dpop-tower-gateway-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const upstream = await startUpstream();
  const port = await freePort();
  const origin = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const file = join(folder, 'gateway.toml');
  writeFileSync(
    file,
    [
      table({
        listen: `127.0.0.1:${port}`,
        upstream: `http://127.0.0.1:${upstream.address().port}`,
        public_origins: [origin],
      }),
      ...Object.entries({ ...tables, ...(tls && { tls }) }).map(([name, members]) => `[${name}]\n${table(members)}`),
      ...issuers.map((members) => `[[issuer]]\n${table(members)}`),
      ...[{ path: '/healthz', mode: 'off' }, ...routes].map((members) => `[[route]]\n${table(members)}`),
    ].join('\n'),
  );
  const cleanUp = () => {
    upstream.closeAllConnections();
    upstream.close();
    rmSync(folder, { recursive: true });
  };
  const program = await startProgram(binary, {
    args: ['gateway', 'serve', file],
    env,
    isReady: async () => (await get(`${origin}/healthz`)).status === 200,
  }).catch((error) => {
    cleanUp();
    throw error;
  });
  return { origin, output: program.output, stop: () => program.stop().finally(cleanUp) };
}

/** The response must come from the upstream, which has been told exactly this. */
export async function expectIdentity(response, identity) {
  const body = await response.text();
  assert.equal(response.status, 200, `${response.headers.get('www-authenticate')} ${body}`);
  assert.deepEqual(JSON.parse(body), identity);
}
