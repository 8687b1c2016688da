// An MCP client that has `dpop` get the token and send the requests: mcp-client.mjs URL
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../program.mjs';
import { newFolder } from './program.mjs';

const url = process.argv[2];
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const files = await newFolder();

const message = (method, params, id) => ({ jsonrpc: '2.0', ...(id && { id }), method, params });
const initialize = message(
  'initialize',
  { protocolVersion: version, capabilities: {}, clientInfo: { name: 'dpop', version: '0.1.0' } },
  1,
);
const accept = 'application/json, text/event-stream';

/** The metadata of the resource, from the challenge of a request without a token (RFC 9728 section 5.1). */
async function resourceMetadata() {
  const headers = { accept, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(initialize) });
  assert.equal(response.status, 401);
  const [, location] = /resource_metadata="([^"]+)"/.exec(response.headers.get('www-authenticate'));
  return (await fetch(location)).json();
}

/** Registers a client with the authorization server (RFC 7591). */
async function register(issuer, redirectUri) {
  const { pathname } = new URL(issuer);
  const wellKnown = new URL(`/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`, issuer);
  const { registration_endpoint: endpoint } = await (await fetch(wellKnown)).json();
  const metadata = {
    client_name: 'dpop',
    application_type: 'native',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    dpop_bound_access_tokens: true,
  };
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(metadata),
  });
  return (await response.json()).client_id;
}

try {
  const { resource, authorization_servers: issuers } = await resourceMetadata();
  const redirectUri = `http://127.0.0.1:${await freePort()}/callback`;
  const clientId = await register(issuers[0], redirectUri);
  await files.succeed(['key', 'new', '--out', 'key.json']);

  let isOpen = false;
  const token = await files.succeed(
    [
      ...['token', '--issuer', issuers[0], '--client-id', clientId, '--resource', resource, '--key', 'key.json'],
      ...['--grant', 'authorization_code', '--redirect-uri', redirectUri, '--no-browser'],
    ],
    {
      onStderr: (text) => {
        const [page] = text.match(/https?:\S+(?=\s)/) ?? [];
        if (isOpen || !page) return;
        isOpen = true;
        // The page of this server signs in at once, and redirects to the loopback address.
        fetch(page);
      },
    },
  );

  const options = { env: { TOKEN: token.trim() } };
  const post = async (body, ...headers) => {
    await writeFile(join(files.folder, 'body.json'), JSON.stringify(body));
    return files.succeed(
      [
        ...['request', '--key', 'key.json', '--token-env', 'TOKEN', '-i', '-d', '@body.json', url],
        ...[`Accept: ${accept}`, 'Content-Type: application/json', ...headers].flatMap((header) => ['-H', header]),
      ],
      options,
    );
  };
  const [, session] = /^mcp-session-id: *(\S+)/im.exec(await post(initialize)) ?? [];
  const headers = [`MCP-Protocol-Version: ${version}`, ...(session ? [`Mcp-Session-Id: ${session}`] : [])];
  await post(message('notifications/initialized'), ...headers);
  await post(message('tools/list', {}, 2), ...headers);
} finally {
  await files.remove();
}
