// `fetch` with client certificates, which the one of Node.js cannot show.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';

function toResponse(url, status, headers, chunks) {
  const response = new Response(Buffer.concat(chunks), { status, headers });
  return Object.defineProperty(response, 'url', { value: String(url) });
}

const plain = (headers) => Object.fromEntries(new Headers(headers));

async function drain(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** Every request has a connection of its own, so that none is made with the certificate of another. */
export const overHttp1 = (tls) => async (url, { method = 'GET', headers, body } = {}) => {
  const request = https.request(url, { ...tls, agent: false, method, headers: plain(headers) });
  request.end(body && String(body));
  const [response] = await once(request, 'response');
  return toResponse(url, response.statusCode, response.headers, await drain(response));
};

export const overHttp2 = (tls) => async (url, { method = 'GET', headers, body } = {}) => {
  const { origin, pathname, search } = new URL(url);
  const session = http2.connect(origin, tls);
  try {
    // A failed handshake is an event of the session. Without a listener, it would end the process.
    const failed = once(session, 'error').then(([error]) => Promise.reject(error));
    failed.catch(() => {});
    await Promise.race([once(session, 'connect'), failed]);
    assert.equal(session.alpnProtocol, 'h2');
    const stream = session.request({ ...plain(headers), ':method': method, ':path': pathname + search });
    stream.end(body && String(body));
    const [answer] = await Promise.race([once(stream, 'response'), failed]);
    const names = Object.entries(answer).filter(([name]) => !name.startsWith(':'));
    return toResponse(url, answer[':status'], Object.fromEntries(names), await drain(stream));
  } finally {
    session.destroy();
  }
};
