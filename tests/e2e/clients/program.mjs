import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for the files of `dpop`, with a function that runs its commands there. */
export async function newFolder() {
  const { DPOP_BIN } = process.env;
  assert.ok(DPOP_BIN, 'DPOP_BIN must name the program dpop');
  const folder = await mkdtemp(join(tmpdir(), 'dpop-client-'));
  return {
    folder,
    remove: () => rm(folder, { recursive: true }),
    /** Resolves to the output and the exit code. `onStderr` sees the messages while the command runs. */
    async run(args, { env, onStderr = () => {} } = {}) {
      const options = { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] };
      const child = spawn(DPOP_BIN, args, options);
      const result = { stdout: '', stderr: '' };
      child.stdout.on('data', (data) => (result.stdout += data));
      child.stderr.on('data', (data) => {
        result.stderr += data;
        onStderr(result.stderr);
      });
      [result.code] = await once(child, 'close');
      return result;
    },
    /** Runs a command that has to succeed, and resolves to its output. */
    async succeed(args, options) {
      const { code, stdout, stderr } = await this.run(args, options);
      assert.equal(code, 0, `dpop ${args[0]}: ${stderr}`);
      return stdout;
    },
  };
}
