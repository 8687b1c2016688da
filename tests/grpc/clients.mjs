import assert from 'node:assert/strict';
import { ConnectError, createClient } from '@connectrpc/connect';
import * as node from '@connectrpc/connect-node';
import * as web from '@connectrpc/connect-web';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import * as grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { PROTO } from './server.mjs';

/** The request of each method, and the response for `bound-client`. */
export const METHODS = {
  Place: { sent: [{ item: 'pears', quantity: 3 }], answers: [{ item: 'pears', quantity: 3 }] },
  Watch: { sent: [{ item: 'pears' }], answers: ['accepted', 'packed', 'sent'].map((name) => ({ name })) },
  PlaceAll: { sent: [{ quantity: 3 }, { quantity: 4 }], answers: [{ orders: 2, items: 7n }] },
  Quote: { sent: [{ quantity: 3 }, { quantity: 4 }], answers: [{ cents: 750n }, { cents: 1000n }] },
};
export const path = (method) => `/orders.v1.Orders/${method}`;

const definition = protoLoader.loadSync(PROTO);

// Each client makes a call with these headers. It resolves to the responses and their headers, or
// rejects with the parts of the status that the language exposes.

/** gRPC, with grpc-js. */
export function grpcJs(origin) {
  const { Orders } = grpc.loadPackageDefinition(definition).orders.v1;
  const client = new Orders(new URL(origin).host, grpc.credentials.createInsecure());
  const rejected = ({ code, details, metadata }) => ({
    code,
    message: details,
    header: (name) => metadata.get(name).join('\n') || null,
  });
  return {
    close: () => client.close(),
    call(method, headers) {
      const { requestStream, responseStream } = Orders.service[method];
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      return new Promise((done, failed) => {
        const answers = [];
        let received;
        const finish = () => done({ answers, header: (name) => received.get(name).join('\n') || null });
        const one = (error, answer) => {
          if (error) return failed(rejected(error));
          answers.push(answer);
          finish();
        };
        const { sent } = METHODS[method];
        const call = client[method](
          ...(requestStream ? [] : sent),
          metadata,
          ...(responseStream ? [] : [one]),
        );
        call.on('metadata', (metadata) => (received = metadata));
        if (responseStream) {
          call.on('data', (answer) => answers.push(answer));
          call.on('error', (error) => failed(rejected(error)));
          call.on('end', finish);
        }
        if (requestStream) {
          for (const message of sent) call.write(message);
          call.end();
        }
      });
    },
  };
}

const [file] = definition['orders.v1.Order'].fileDescriptorProtos;
const service = createFileRegistry(fromBinary(FileDescriptorProtoSchema, file), () => undefined)
  .getService('orders.v1.Orders');

function connectClient(transport) {
  const client = createClient(service, transport);
  return {
    close() {},
    async call(method, headers) {
      const { sent } = METHODS[method];
      const { localName, methodKind } = service.methods.find(({ name }) => name === method);
      async function* messages() {
        yield* sent;
      }
      let received;
      const options = { headers, onHeader: (headers) => (received = headers) };
      try {
        const input = /client|bidi/.test(methodKind) ? messages() : sent[0];
        const output = client[localName](input, options);
        const answers = [];
        if (/server|bidi/.test(methodKind)) for await (const answer of output) answers.push(answer);
        else answers.push(await output);
        return { answers, header: (name) => received.get(name) };
      } catch (error) {
        assert.ok(error instanceof ConnectError, String(error));
        const { code, rawMessage: message, metadata } = error;
        throw { code, message, header: (name) => metadata.get(name) };
      }
    },
  };
}

/** gRPC-web over HTTP/1.1, with Connect's transport for browsers, on Node's `fetch`. */
export const fetchGrpcWeb = (baseUrl) => connectClient(web.createGrpcWebTransport({ baseUrl }));

/** gRPC-web over HTTP/2, which also supports streams of requests. */
export const nodeGrpcWeb = (baseUrl) =>
  connectClient(node.createGrpcWebTransport({ baseUrl, httpVersion: '2' }));

export function expectAnswers(method, { answers }) {
  const wanted = METHODS[method].answers;
  assert.equal(answers.length, wanted.length);
  for (const [index, answer] of answers.entries()) {
    assert.equal(answer.subject, 'bound-client');
    for (const [name, value] of Object.entries(wanted[index])) {
      // One library represents large numbers as objects of its own class.
      assert.equal(String(answer[name]), String(value), name);
    }
  }
}

/** Resolves to the status of a call that must be rejected, and checks what every rejection must have. */
export async function expectRejected(call, { code, error, message }) {
  const status = await call.then(() => assert.fail('the call was admitted'), (status) => status);
  if (status instanceof Error) throw status;
  assert.equal(status.code, code);
  assert.equal(status.message, message);
  const challenge = status.header('www-authenticate');
  assert.match(challenge, /^DPoP [^\n]*algs="[^"]*\bES256\b[^"]*"/);
  assert.equal(/error="([^"]*)"/.exec(challenge)?.[1], error);
  if (error) assert.equal(/error_description="([^"]*)"/.exec(challenge)?.[1], message);
  return status;
}
