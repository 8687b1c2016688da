import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const local = (path) => fileURLToPath(new URL(path, import.meta.url));

// The suite starts an MCP server and an authorization server, and runs the client against both.
for (const [scenario, checks] of [
  ['auth/dpop', ['client-token-request-proof', 'client-dpop-auth-scheme', 'client-fresh-proof']],
  ['auth/dpop-nonce', ['client-token-request-proof', 'client-fresh-proof', 'client-as-nonce', 'client-rs-nonce']],
]) {
  test(`dpop passes the scenario ${scenario} of MCP's conformance suite`, async () => {
    const results = await mkdtemp(join(tmpdir(), 'dpop-mcp-'));
    const suite = local('../node_modules/@modelcontextprotocol/conformance/dist/index.js');
    const client = `${process.execPath} ${local('mcp-client.mjs')}`;
    const child = spawn(
      process.execPath,
      [suite, 'client', '--scenario', scenario, '--command', client, '--output-dir', results],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, output);
    const [file] = (await readdir(results, { recursive: true })).filter((name) => name.endsWith('checks.json'));
    const found = JSON.parse(await readFile(join(results, file)));
    assert.ok(found.every(({ status }) => status === 'SUCCESS' || status === 'INFO'), output);
    for (const check of checks) {
      assert.equal(found.find(({ id }) => id === `sep-1932-${check}`)?.status, 'SUCCESS', check);
    }
    await rm(results, { recursive: true });
  });
}
