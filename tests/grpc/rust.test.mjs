import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { AUDIENCE, SECRET } from '../e2e/provider.mjs';
import { inBothModes } from '../e2e/server.mjs';
import { options } from './server.mjs';

const { ORDERS_CLIENT_BIN } = process.env;
assert.ok(ORDERS_CLIENT_BIN, 'ORDERS_CLIENT_BIN must name the example client');

inBothModes(
  'gRPC with tonic',
  (stack) => {
    test('the example client gets a token and calls every method', async () => {
      const env = {
        DPOP_ISSUER: stack.provider.issuer,
        DPOP_AUDIENCE: AUDIENCE,
        DPOP_PUBLIC_ORIGIN: stack.server.origin,
        SERVER_URL: stack.server.origin,
        CLIENT_ID: 'bound-client',
        CLIENT_SECRET: SECRET,
      };
      const { stdout } = await promisify(execFile)(ORDERS_CLIENT_BIN, { env });
      assert.deepEqual(stdout.trim().split(/\n/), [
        'Place     3 pears for bound-client',
        'Watch     accepted, packed, sent',
        'PlaceAll  2 orders of 7 for bound-client',
        'Quote     250, 500 cents',
      ]);
    });
  },
  options,
);
