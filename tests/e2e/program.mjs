import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Waits until `condition` resolves to a true value, and returns it. Errors count as false. */
export async function eventually(condition, { seconds = 20, why = () => 'it did not happen in time' } = {}) {
  const deadline = Date.now() + 1000 * seconds;
  for (;;) {
    const result = await condition().catch(() => false);
    if (result) return result;
    if (Date.now() > deadline) assert.fail(why());
    await sleep(50);
  }
}

/** Starts a program and waits until it is ready. */
export async function startProgram(program, { args = [], env, isReady, stopWith = 'SIGTERM', ...options }) {
  // The environment of the caller's shell must not affect the test.
  const inherited = Object.entries(process.env).filter(([name]) => !/^dpop_|_proxy$/i.test(name));
  const child = spawn(program, args, {
    ...options,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  let ended;
  const end = new Promise((done) => {
    child.once('exit', (code, signal) => done((ended = `exit ${code ?? signal}`)));
    child.once('error', (error) => done((ended = error.message)));
  });
  // An interrupted run must not leave a program behind.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);

  const running = {
    output: () => output,
    async stop() {
      process.removeListener('exit', kill);
      // Reported here because a crashed server may seem to reject requests by dropping connections.
      assert.equal(ended, undefined, `the program ended by itself (${ended}):\n${output}`);
      child.kill(stopWith);
      const timer = setTimeout(kill, 5_000);
      await end;
      clearTimeout(timer);
    },
  };

  const deadline = Date.now() + 20_000;
  for (;;) {
    const ready = await isReady().catch(() => false);
    assert.equal(ended, undefined, `the program did not start (${ended}):\n${output}`);
    if (ready) return running;
    if (Date.now() > deadline) {
      await running.stop();
      assert.fail(`the program was not ready in time:\n${output}`);
    }
    await sleep(50);
  }
}
