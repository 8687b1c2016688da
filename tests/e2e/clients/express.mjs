import { once } from 'node:events';
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import { AUDIENCE } from '../provider.mjs';

/** Starts an API with express-oauth2-jwt-bearer, which admits tokens of this issuer only with a proof. */
export async function startExpress({ issuer, alg = 'ES256' }) {
  const app = express();
  app.use(
    auth({
      issuer,
      jwksUri: `${issuer}/jwks`,
      audience: AUDIENCE,
      tokenSigningAlg: alg,
      dpop: { enabled: true, required: true },
    }),
  );
  app.all('/orders', (request, response) => response.send(`the orders of ${request.auth.payload.sub}\n`));
  // By default, express prints every rejection.
  app.use((error, _request, response, _next) => response.set(error.headers).sendStatus(error.status));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/orders`,
    async stop() {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}
