#!/usr/bin/env node
// Puts the gateway in the place of the server under test. It reads the same environment, and runs in
// front of a service that does not support DPoP. Usage: run.sh gateway.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const { DPOP_AUDIENCE, DPOP_ISSUER, DPOP_NONCE, DPOP_PUBLIC_ORIGIN, PORT } = process.env;
const binary =
  process.env.DPOP_BIN ?? fileURLToPath(new URL('../../target/debug/dpop', import.meta.url));

// The gateway tells the service who calls.
const upstream = http.createServer((request, response) => {
  const { 'x-dpop-subject': sub, 'x-dpop-thumbprint': jkt } = request.headers;
  request.resume();
  if (request.url === '/healthz') return response.end('ok');
  if (request.headers.authorization ?? request.headers.dpop) return response.writeHead(500).end();
  response.setHeader('content-type', 'application/json');
  return response.end(JSON.stringify({ sub, jkt }));
});
upstream.listen(0, '127.0.0.1');
await once(upstream, 'listening');

const text = JSON.stringify;
const folder = await mkdtemp(path.join(tmpdir(), 'dpop-tower-gateway-'));
const file = path.join(folder, 'gateway.toml');
await writeFile(
  file,
  `
listen = "127.0.0.1:${PORT}"
upstream = "http://127.0.0.1:${upstream.address().port}"
public_origins = [${text(DPOP_PUBLIC_ORIGIN)}]
[[issuer]]
url = ${text(DPOP_ISSUER)}
audiences = [${text(DPOP_AUDIENCE)}]
danger_allow_plain_http = ${DPOP_ISSUER.startsWith('http:')}
[nonces]
mode = "${DPOP_NONCE ?? 'off'}"
[[route]]
path = "/healthz"
mode = "off"
`,
);
const gateway = spawn(binary, ['gateway', 'serve', file], { stdio: ['ignore', 'inherit', 'inherit'] });
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => gateway.kill(signal));
const [code] = await once(gateway, 'exit');
await rm(folder, { recursive: true });
process.exit(code ?? 1);
