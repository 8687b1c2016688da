// Keys and proofs (RFC 9449 section 4), made with WebCrypto alone.

const encoder = new TextEncoder();
const ES256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export function base64url(bytes) {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function fromBase64url(text) {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (byte) => byte.charCodeAt(0));
}

const part = (value) => base64url(encoder.encode(JSON.stringify(value)));

export const hash = async (text) => base64url(await crypto.subtle.digest('SHA-256', encoder.encode(text)));

/** Reads the header and the claims of a JWT, without verifying anything. */
export function decode(jwt) {
  const [header, claims] = jwt.split('.').map((text) => new TextDecoder().decode(fromBase64url(text)));
  return { header: JSON.parse(header), claims: JSON.parse(claims) };
}

/** Makes a key pair whose private key no script can read: `false` says that it is not extractable. */
export const newKey = () => crypto.subtle.generateKey(ES256, false, ['sign', 'verify']);

/** Returns the members of the public key that RFC 7638 hashes, in its order. */
export async function publicJwk(key) {
  const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', key.publicKey);
  return { crv, kty, x, y };
}

export const thumbprint = async (jwk) => hash(JSON.stringify(jwk));

/**
 * Makes a proof for one request. `tampering` replaces members of the header and of the claims, where `undefined`
 * leaves one out, and may change the signature.
 */
export async function makeProof(key, { method, url, token, nonce, now }, tampering = {}) {
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: await publicJwk(key), ...tampering.header };
  const claims = {
    jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
    htm: method,
    htu: url,
    iat: now,
    ...(token && { ath: await hash(token) }),
    ...(nonce && { nonce }),
    ...tampering.claims,
  };
  const input = `${part(header)}.${part(claims)}`;
  const signature = new Uint8Array(await crypto.subtle.sign(ES256, key.privateKey, encoder.encode(input)));
  const text = `${input}.${base64url(tampering.signature?.(signature) ?? signature)}`;
  return { text, ...decode(text) };
}
