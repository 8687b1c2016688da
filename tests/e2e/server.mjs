import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { freePort, startProgram } from './program.mjs';
import { AUDIENCE, startProvider } from './provider.mjs';

const quickstart = () => {
  const { QUICKSTART_BIN } = process.env;
  assert.ok(QUICKSTART_BIN, 'QUICKSTART_BIN must name the server under test');
  return QUICKSTART_BIN;
};

const isHealthy = async (origin) => (await fetch(`${origin}/healthz`)).status === 200;

/** Starts a server that reads the same settings as `quickstart`, and waits until it is ready. */
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
  const { stop } = await startProgram(program, {
    env: {
      PORT: String(port),
      DPOP_ISSUER: issuer,
      DPOP_AUDIENCE: AUDIENCE,
      DPOP_PUBLIC_ORIGIN: publicOrigin,
      ...(nonces && { DPOP_NONCE: 'required' }),
      ...env,
    },
    isReady: () => isReady(origin),
  });
  return { origin, url: `${origin}/resource`, htu: `${publicOrigin}/resource`, stop };
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
