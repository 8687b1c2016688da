// Starts an authorization server and two servers under test, one of which requires nonces. Prints their
// addresses as JSON, and stops them when its standard input ends. For clients in other languages.
import { AUDIENCE, SECRET, startProvider } from '../e2e/provider.mjs';
import { startServer } from '../e2e/server.mjs';
import { options } from './server.mjs';

const provider = await startProvider(options.provider);
const { issuer } = provider;
const start = (nonces) => startServer({ issuer, nonces, ...options.server });
const servers = [await start(false), await start(true)];
const [off, required] = servers.map(({ origin }) => origin);
const stack = { issuer, audience: AUDIENCE, client_id: 'bound-client', client_secret: SECRET };
console.log(JSON.stringify({ ...stack, servers: { off, required } }));

for await (const _ of process.stdin);
// Throws if a server has exited.
for (const server of servers) await server.stop();
await provider.stop();
