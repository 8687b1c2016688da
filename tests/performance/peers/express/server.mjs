// An Express server with DPoP, measured beside dpop-tower. It is told who the issuer is on its standard
// input, and says where it listens on its standard output.

import { once } from "node:events";
import { createInterface } from "node:readline";

import express from "express";
import { auth } from "express-oauth2-jwt-bearer";

const input = createInterface({ input: process.stdin });
const [line] = await once(input, "line");
const setup = JSON.parse(line);
input.close();

const app = express();
// The proofs are made for https://, as behind a proxy that takes off the TLS.
app.set("trust proxy", "loopback");
app.use(
  auth({
    issuer: setup.issuer,
    audience: setup.audience,
    publicKey: setup.jwks,
    tokenSigningAlg: "ES256",
    strict: true,
    dpop: { enabled: true, required: true, iatOffset: setup.max_age },
  }),
);
app.get("/orders/:id", (request, response) => {
  response.send("ok");
});
// The default handler would write every rejection to the standard error output.
app.use((error, request, response, next) => {
  response.status(error.status ?? 500).set(error.headers ?? {}).end();
});
const server = app.listen(0, "127.0.0.1", () => {
  const { address, port } = server.address();
  console.log(`${address}:${port}`);
});
