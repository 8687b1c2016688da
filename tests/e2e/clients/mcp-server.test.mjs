import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  Client,
  ClientCredentialsProvider,
  DpopSession,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { freePort, startProgram } from '../program.mjs';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** A client without a user. The transport gets its token, and makes the proofs. */
class Credentials extends ClientCredentialsProvider {
  session = DpopSession.create();

  dpop() {
    return this.session;
  }
}

describe('an MCP server behind the layer', () => {
  const requests = [];
  let server, url, issuer, credentials, client;

  /** Records the method, the URL and the status of each request. */
  async function recorded(input, init) {
    const response = await fetch(input, init);
    requests.push(`${init?.method ?? 'GET'} ${input} ${response.status}`);
    return response;
  }

  /** Calls a tool without the client, with these headers. */
  const call = (headers) =>
    fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }),
    });

  before(async () => {
    const { MCP_BIN } = process.env;
    assert.ok(MCP_BIN, 'MCP_BIN must name the program mcp-example');
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    url = `${origin}/mcp`;
    const metadata = () => fetch(`${origin}${WELL_KNOWN}/mcp`);
    server = await startProgram(MCP_BIN, {
      env: { PORT: String(port) },
      isReady: async () => (await metadata()).ok,
    });
    [issuer] = (await (await metadata()).json()).authorization_servers;
    // The operator of a client knows which authorization server may see its secret.
    credentials = new Credentials({ clientId: 'client', clientSecret: 'secret', expectedIssuer: issuer });
    client = new Client({ name: 'client', version: '1.0.0' });
  });
  after(async () => {
    await client?.close();
    await server?.stop();
  });

  test('the client finds the authorization server through the challenge', async () => {
    const options = { authProvider: credentials, fetch: recorded };
    await client.connect(new StreamableHTTPClientTransport(new URL(url), options));
    const { origin } = new URL(url);
    assert.deepEqual(requests.slice(0, 5), [
      `POST ${url} 401`,
      `GET ${origin}${WELL_KNOWN}/mcp 200`,
      `GET ${issuer}/.well-known/oauth-authorization-server 200`,
      `POST ${issuer}/token 200`,
      `POST ${url} 200`,
    ]);
    assert.equal(credentials.tokens().token_type.toLowerCase(), 'dpop');
  });

  test('the client lists and calls tools, with a proof for each request', async () => {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), ['add', 'whoami']);
    const { thumbprint } = await credentials.dpop();
    for (let i = 0; i < 3; i += 1) {
      const sum = await client.callTool({ name: 'add', arguments: { left: i, right: 40 } });
      assert.deepEqual(sum.content, [{ type: 'text', text: String(i + 40) }]);
      const { content } = await client.callTool({ name: 'whoami', arguments: {} });
      assert.equal(content[0].text, `alice with key ${thumbprint}`);
    }
    assert.ok(requests.slice(5).every((request) => !request.endsWith(' 401')), requests.join('\n'));
  });

  test('a stolen token is rejected, and so is a proof that was seen before', async () => {
    const { access_token: token } = credentials.tokens();
    const proof = async (session) => (await session).buildProof({ htm: 'POST', htu: url, accessToken: token });
    const dpop = await proof(credentials.dpop());
    const own = { authorization: `DPoP ${token}`, dpop };
    assert.equal((await call(own)).status, 200);
    for (const [headers, error] of [
      [own, 'invalid_dpop_proof'],
      [{ authorization: `DPoP ${token}`, dpop: await proof(DpopSession.create()) }, 'invalid_token'],
      [{ authorization: `DPoP ${token}` }, 'invalid_dpop_proof'],
      [{ authorization: `Bearer ${token}` }, 'invalid_token'],
    ]) {
      const response = await call(headers);
      assert.equal(response.status, 401);
      const challenge = response.headers.get('www-authenticate');
      assert.ok(challenge.startsWith('DPoP ') && challenge.includes(`error="${error}"`), challenge);
      assert.ok(challenge.includes(`resource_metadata="${new URL(url).origin}${WELL_KNOWN}/mcp"`), challenge);
    }
  });

  test('a page of another origin can read the metadata, with the header that clients of MCP send', async () => {
    const headers = {
      origin: 'https://app.example',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'mcp-protocol-version',
    };
    const response = await fetch(`${new URL(url).origin}${WELL_KNOWN}/mcp`, { method: 'OPTIONS', headers });
    assert.equal(response.status, 204);
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.equal(response.headers.get('access-control-allow-headers'), '*');
  });
});
