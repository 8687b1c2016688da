// A proxy of another project that asks `dpop gateway` about each request, in front of a service that tells what it got.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startProgram } from '../program.mjs';
import { AUDIENCE } from '../provider.mjs';

const dpop = process.env.DPOP_BIN ?? fileURLToPath(new URL('../../../target/debug/dpop', import.meta.url));
/** The folder with the programs of requirements.txt. */
const programs = process.env.PROXIES_BIN;

const documented = (name) => readFileSync(new URL(`../../../docs/forward-auth/${name}`, import.meta.url), 'utf8');

/** Puts the addresses of a test in the place of those in a documented configuration. */
function withAddresses(text, addresses) {
  for (const [there, here] of Object.entries(addresses)) {
    assert.ok(text.includes(there), `the documented file has ${there}`);
    text = text.replaceAll(there, here);
  }
  return text;
}

/** Traefik responds with 404 until it has read its routes. */
const answers = (port) => async () => (await fetch(`http://127.0.0.1:${port}/`)).status === 401;

/** Envoy with one of the documented configurations, which asks over gRPC. */
const envoy = (documentedFile, more) => ({
  table: (port) => `[ext_authz]\nlisten = "127.0.0.1:${port}"\n`,
  start({ folder, port, gateway, service }) {
    const file = join(folder, 'envoy.yaml');
    const text = withAddresses(documented(documentedFile), {
      'port_value: 8000': `port_value: ${port}`,
      'port_value: 8082': `port_value: ${gateway}`,
      'port_value: 9000': `port_value: ${service}`,
    });
    writeFileSync(file, text);
    const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'warning'];
    return { program: join(programs, 'envoy'), args };
  },
  ...more,
});

/**
 * Each proxy: its status while the gateway is down, spellings that it rejects or redirects although a client may mean
 * them, what the gateway's file has, and how the documented configuration is started.
 */
export const PROXIES = {
  Caddy: {
    withoutGateway: 502,
    table: (port) => `[forward_auth]\nlisten = "127.0.0.1:${port}"\nproxy = "caddy"\n`,
    start({ folder, port, gateway, service }) {
      const site = withAddresses(documented('Caddyfile'), {
        'api.example.com': `http://127.0.0.1:${port}`,
        '127.0.0.1:8081': `127.0.0.1:${gateway}`,
        '127.0.0.1:9000': `127.0.0.1:${service}`,
      });
      const file = join(folder, 'Caddyfile');
      writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n}\n${site}`);
      const env = { HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
      return { program: join(programs, 'caddy'), args: ['run', '--adapter', 'caddyfile', '--config', file], env };
    },
  },
  Traefik: {
    withoutGateway: 500,
    table: (port) => `[forward_auth]\nlisten = "127.0.0.1:${port}"\nproxy = "traefik"\n`,
    start({ folder, port, gateway, service }) {
      const [file, dynamic] = [join(folder, 'static.yaml'), join(folder, 'traefik.yaml')];
      const addresses = { '127.0.0.1:8000': `127.0.0.1:${port}`, '/etc/traefik/traefik.yaml': dynamic };
      writeFileSync(file, withAddresses(documented('traefik-static.yaml'), addresses));
      const text = withAddresses(documented('traefik.yaml'), {
        'api.example.com': '127.0.0.1',
        '127.0.0.1:8081': `127.0.0.1:${gateway}`,
        '127.0.0.1:9000': `127.0.0.1:${service}`,
      });
      writeFileSync(dynamic, text);
      const args = [`--configFile=${file}`, '--global.checknewversion=false', '--global.sendanonymoususage=false'];
      return { program: join(programs, 'traefik'), args, isReady: answers(port) };
    },
  },
  Envoy: envoy('envoy.yaml', { withoutGateway: 503 }),
  'Envoy as Istio configures it': envoy('istio-envoy.yaml', { withoutGateway: 503 }),
  // It has no status for this case, so Envoy's own applies.
  'Envoy as Envoy Gateway configures it': envoy('envoy-gateway-envoy.yaml', {
    withoutGateway: 403,
    rejects: ['/orders%2F1'],
  }),
  HAProxy: {
    withoutGateway: 503,
    // The gateway forwards the request itself.
    root: (port, service) => `listen = "127.0.0.1:${port}"\nupstream = "http://127.0.0.1:${service}"\n`,
    start({ folder, port, gateway }) {
      const file = join(folder, 'haproxy.cfg');
      const text = withAddresses(documented('haproxy.cfg'), {
        '127.0.0.1:8000': `127.0.0.1:${port}`,
        '127.0.0.1:8080': `127.0.0.1:${gateway}`,
      });
      writeFileSync(file, text);
      return { program: '/usr/sbin/haproxy', args: ['-db', '-f', file] };
    },
  },
};

/** Starts a service that responds with the request it got, and remembers how many it got. */
async function startService() {
  const service = http.createServer((request, response) => {
    service.served += 1;
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, target: request.url, headers: request.headers }));
  });
  service.served = 0;
  await once(service.listen(0, '127.0.0.1'), 'listening');
  return service;
}

/** Starts the proxy `name` with a gateway for tokens of this provider. */
export async function startStack(name, provider, { nonces = 'off' } = {}) {
  const proxy = PROXIES[name];
  const folder = mkdtempSync(join(tmpdir(), `dpop-tower-${name}-`));
  const service = await startService();
  const [port, asked] = [await freePort(), await freePort()];
  const origin = `http://127.0.0.1:${port}`;
  const text = JSON.stringify;
  const file = join(folder, 'gateway.toml');
  writeFileSync(
    file,
    `public_origins = [${text(origin)}]
${proxy.root?.(asked, service.address().port) ?? ''}
${proxy.table?.(asked) ?? ''}
[nonces]
mode = "${nonces}"
[[issuer]]
url = ${text(provider.issuer)}
audiences = [${text(AUDIENCE)}]
danger_allow_plain_http = true
`,
  );
  const listens = (port) => async () => {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  };
  const running = [];
  const stack = {
    origin,
    port,
    service,
    gateway: await startProgram(dpop, { args: ['gateway', 'serve', file], isReady: listens(asked) }),
    async stop() {
      for (const program of running.reverse()) await program.stop();
      service.closeAllConnections();
      service.close();
      rmSync(folder, { recursive: true });
    },
  };
  running.push(stack.gateway);
  const { program, args, env, isReady = listens(port) } = proxy.start({ folder, port, gateway: asked, service: service.address().port });
  running.push(await startProgram(program, { args, env, isReady }));
  stack.stopGateway = async () => {
    running.splice(running.indexOf(stack.gateway), 1);
    await stack.gateway.stop();
  };
  return stack;
}

/** Sends a request exactly as it is written, and returns the status, the headers and the body of the response. */
export async function raw(port, target, headers, method = 'GET') {
  const socket = net.connect(port, '127.0.0.1');
  const isLast = headers.some((header) => header.startsWith('Connection: close')) ? [] : ['Connection: close'];
  const lines = [`${method} ${target} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...isLast, ...headers];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  for await (const data of socket) text += data;
  const [head, ...body] = text.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), head, body: body.join('\r\n\r\n') };
}
