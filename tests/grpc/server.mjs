import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';

const { ORDERS_SERVER_BIN } = process.env;
assert.ok(ORDERS_SERVER_BIN, 'ORDERS_SERVER_BIN must name the server under test');

export const PROTO = fileURLToPath(new URL('../../examples/grpc/proto/orders.proto', import.meta.url));

const { Health } = grpc.loadPackageDefinition(protoLoader.loadSync(protoPath, { enums: String })).grpc.health.v1;

/** Asks the health service, without a token. */
export async function health(origin, service = '') {
  const client = new Health(new URL(origin).host, grpc.credentials.createInsecure());
  try {
    const { status } = await new Promise((done, failed) => {
      const deadline = Date.now() + 5_000;
      client.Check({ service }, { deadline }, (error, answer) => (error ? failed(error) : done(answer)));
    });
    return status;
  } finally {
    client.close();
  }
}

/** Arguments for `startServer` and `startProvider` of the end-to-end suite. */
export const options = {
  provider: { scope: 'orders:read orders:write' },
  server: { program: ORDERS_SERVER_BIN, isReady: async (origin) => (await health(origin)) === 'SERVING' },
};
