import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIENCE, startProvider } from './provider.mjs';

const quickstart = () => {
  const { QUICKSTART_BIN } = process.env;
  assert.ok(QUICKSTART_BIN, 'QUICKSTART_BIN must name the server under test');
  return QUICKSTART_BIN;
};
const isHealthy = async (origin) => (await fetch(`${origin}/healthz`)).status === 200;

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Starts a program that reads the same settings as `quickstart`, and waits until it is ready. */
export async function startServer({
  issuer,
  nonces,
  publicOrigin,
  env,
  program = quickstart(),
  isReady = isHealthy,
}) {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  publicOrigin ??= origin;
  // The environment of the caller's shell must not affect the test.
  const inherited = Object.entries(process.env).filter(([name]) => !/^dpop_|_proxy$/i.test(name));
  const child = spawn(program, {
    env: {
      ...Object.fromEntries(inherited),
      PORT: String(port),
      DPOP_ISSUER: issuer,
      DPOP_AUDIENCE: AUDIENCE,
      DPOP_PUBLIC_ORIGIN: publicOrigin,
      ...(nonces && { DPOP_NONCE: 'required' }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  let ended;
  const end = new Promise((done) => {
    child.once('exit', (code, signal) => done((ended = `exit ${code ?? signal}`)));
    child.once('error', (error) => done((ended = error.message)));
  });
  // An interrupted run must not leave a server behind.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);

  async function stop() {
    process.removeListener('exit', kill);
    // Reported here because a crashed server may seem to reject requests by dropping connections.
    assert.equal(ended, undefined, `the server ended by itself (${ended}):\n${output}`);
    child.kill();
    const timer = setTimeout(kill, 5_000);
    await end;
    clearTimeout(timer);
  }

  const deadline = Date.now() + 20_000;
  for (;;) {
    const ready = await isReady(origin).catch(() => false);
    assert.equal(ended, undefined, `the server did not start (${ended}):\n${output}`);
    if (ready) {
      return { origin, url: `${origin}/resource`, htu: `${publicOrigin}/resource`, stop };
    }
    if (Date.now() > deadline) {
      await stop();
      assert.fail(`the server was not ready in time:\n${output}`);
    }
    await sleep(50);
  }
}

/** Runs `define` for a provider and a server with nonces off, and for a pair with nonces required. */
export function inBothModes(name, define, { provider: providerOptions, server: serverOptions } = {}) {
  for (const nonces of [false, true]) {
    describe(`${name}, nonces ${nonces ? 'required' : 'off'}`, () => {
      const stack = { nonces };
      before(async () => {
        stack.provider = await startProvider(providerOptions);
        stack.server = await startServer({ issuer: stack.provider.issuer, nonces, ...serverOptions });
        stack.url = stack.server.url;
      });
      after(async () => {
        await stack.provider?.stop();
        await stack.server?.stop();
      });
      define(stack);
    });
  }
}
