// The controls of the page, and the requests that they send.

import { base64url, decode, hash, makeProof, newKey, publicJwk, thumbprint } from './dpop.js';
import { forgetKey, loadKey, saveKey } from './keys.js';
import { element, show, summary } from './result.js';
import { setUpEvents, setUpSocket } from './streams.js';

const LONGEST_HISTORY = 10;

const find = (id) => document.getElementById(id);
const seconds = () => Math.floor(Date.now() / 1000);
const announce = (text) => (find('announcement').textContent = text);

let key;
let keyThumbprint;
let token;
let nonce;
let last;
let setup;
let count = 0;
const history = [];

// Key

async function useKey(pair) {
  key = pair;
  keyThumbprint = await thumbprint(await publicJwk(key));
  find('thumbprint').textContent = keyThumbprint;
  showToken();
}

function showStorage(isKept) {
  find('keep-key').checked = isKept;
  find('key-storage').textContent = isKept ? 'in IndexedDB, not extractable' : 'in memory, not extractable';
}

async function makeKey() {
  await useKey(await newKey());
  if (find('keep-key').checked) await saveKey(key);
}

async function tryToExport() {
  const result = find('export-result');
  result.hidden = false;
  try {
    await crypto.subtle.exportKey('jwk', key.privateKey);
    result.textContent = 'The private key was exported.';
  } catch (error) {
    result.textContent = `${error.name}: ${error.message}. A script can use the key, but cannot take it away.`;
  }
  announce(result.textContent);
}

// Token

async function fetchToken(lifetime) {
  const url = `${location.origin}/token`;
  const proof = await makeProof(key, { method: 'POST', url, now: seconds() });
  const response = await fetch(url, {
    method: 'POST',
    headers: { dpop: proof.text, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'client_credentials', lifetime }).toString(),
  });
  if (!response.ok) throw new Error(`the issuer answers ${response.status}`);
  const { access_token: text } = await response.json();
  return { text, ...decode(text) };
}

async function newToken() {
  token = await fetchToken(find('lifetime').value);
  showToken();
  announce('There is a new token.');
}

function showToken() {
  if (!token) return;
  const { cnf, exp, scope } = token.claims;
  const isBound = cnf.jkt === keyThumbprint;
  const binding = find('token-binding');
  binding.textContent = isBound ? 'this key' : 'an earlier key: get a new token';
  binding.dataset.state = isBound ? 'passed' : 'failed';
  find('token-scope').textContent = scope;
  const left = exp - seconds();
  const expiry = find('token-expiry');
  expiry.textContent = left > 0 ? `in ${left} s` : 'it has expired: get a new token';
  expiry.dataset.state = left > 0 ? 'passed' : 'failed';
}

// Requests

const chosen = () => new Set([...document.querySelectorAll('[name=tamper]:checked')].map(({ value }) => value));
const skew = () => find('skew').valueAsNumber;

/** Turns the chosen controls into changes of the proof. */
async function tamperingOf(tampers, { method, url, now }) {
  const header = {};
  const claims = {};
  if (tampers.has('typ')) header.typ = 'JWT';
  if (tampers.has('alg')) header.alg = 'none';
  if (tampers.has('htm')) claims.htm = method === 'GET' ? 'POST' : 'GET';
  if (tampers.has('htu')) claims.htu = `${url}/of-bob`;
  if (tampers.has('ath')) claims.ath = await hash('another token');
  if (tampers.has('iat')) claims.iat = now - 3600;
  if (tampers.has('no-nonce')) claims.nonce = undefined;
  if (tampers.has('nonce')) claims.nonce = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const flip = (bytes) => bytes.map((byte, index) => (index === 40 ? byte ^ 1 : byte));
  return { header, claims, signature: tampers.has('signature') ? flip : undefined };
}

/** Makes a request with a new proof. */
async function prepare(method, path, tampers = new Set(), offset = 0) {
  const url = `${location.origin}${path}`;
  const now = seconds() + offset;
  const sent = tampers.has('expired') ? await fetchToken(0) : token;
  const tampering = await tamperingOf(tampers, { method, url, now });
  const signer = tampers.has('other-key') ? await newKey() : key;
  const proof = await makeProof(signer, { method, url, token: sent.text, nonce, now }, tampering);
  const authorization = `${tampers.has('bearer') ? 'Bearer' : 'DPoP'} ${sent.text}`;
  const tampered = { header: Object.keys(tampering.header), claims: Object.keys(tampering.claims) };
  if (tampers.has('other-key')) tampered.header.push('jwk');
  if (offset) tampered.claims.push('iat');
  const request = { method, path, url, tampered, requestHeaders: [] };
  if (!tampers.has('no-token')) {
    request.authorization = authorization;
    request.token = sent;
    request.requestHeaders.push(['authorization', authorization]);
  }
  if (!tampers.has('no-proof')) {
    request.proof = proof;
    request.proofThumbprint = await thumbprint(await publicJwk(signer));
    request.requestHeaders.push(['dpop', proof.text]);
  }
  return request;
}

async function transmit({ method, url, requestHeaders }, options) {
  const response = await fetch(url, { method, headers: requestHeaders, cache: 'no-store', ...options });
  // RFC 9449 section 8.2: the newest nonce counts, whatever the status of its response is.
  nonce = response.headers.get('dpop-nonce') ?? nonce;
  return response;
}

/** Sends an honest request, and repeats it once if the server asks for a nonce. For the streams. */
async function call(method, path, options) {
  const response = await transmit(await prepare(method, path), options);
  const isChallenged = response.status === 401 && response.headers.has('dpop-nonce');
  return isChallenged ? transmit(await prepare(method, path), options) : response;
}

/** Sends a request, shows it, and returns what became of it. */
async function exchange(request) {
  const sentAt = seconds();
  const response = await transmit(request);
  const body = await response.text();
  const rejection = response.ok ? {} : JSON.parse(body || '{}');
  const endpoint = setup.endpoints.find(({ method, path }) => method === request.method && path === request.path);
  count += 1;
  last = {
    ...request,
    reason: rejection.reason,
    error: rejection.error,
    detail: rejection.detail,
    number: count,
    sentAt,
    checks: setup.checks,
    needsNonce: endpoint?.needs_nonce,
    admitted: response.ok,
    status: response.status,
    statusText: response.statusText,
    responseHeaders: [...response.headers],
    body,
  };
  history.unshift(last);
  history.length = Math.min(history.length, LONGEST_HISTORY);
  find('replay').disabled = false;
  display(last);
  return last;
}

function display(shown) {
  announce(show(shown));
  find('history-nav').hidden = history.length < 2;
  const items = history.map((entry) => {
    const state = entry.admitted ? 'passed' : 'failed';
    const button = element('button', { type: 'button', 'data-state': state, text: summary(entry) });
    if (entry === shown) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => {
      display(entry);
      find('result').focus();
    });
    return element('li', {}, button);
  });
  find('history').replaceChildren(...items);
}

/** On a small screen, the result is below the controls. */
function reveal() {
  if (matchMedia('(min-width: 64rem)').matches) return;
  const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  find('result').scrollIntoView({ behavior: isCalm ? 'auto' : 'smooth', block: 'start' });
}

async function send() {
  const { method, path } = setup.endpoints[find('endpoint').value];
  const tampers = chosen();
  const { reason } = await exchange(await prepare(method, path, tampers, skew()));
  const isNonceTampered = tampers.has('nonce') || tampers.has('no-nonce');
  if (reason?.startsWith('proof_nonce_') && find('retry').checked && !isNonceTampered) {
    await exchange(await prepare(method, path, tampers, skew()));
  }
  reveal();
}

async function replay() {
  await exchange(last);
  reveal();
}

// Page

function showTampering() {
  const offset = skew();
  const direction = offset > 0 ? 'fast' : 'slow';
  find('skew-value').textContent = offset ? `${Math.abs(offset)} s ${direction}` : 'on time';
  find('skew').setAttribute('aria-valuetext', find('skew-value').textContent);
  const number = chosen().size + (offset ? 1 : 0);
  find('tamper-count').textContent = number ? `(${number} chosen)` : '';
}

function reset() {
  for (const box of document.querySelectorAll('[name=tamper]')) box.checked = false;
  find('skew').value = 0;
  showTampering();
  announce('The request is honest again.');
}

/** Runs one action at a time, and says what went wrong. */
let isBusy = false;
const action = (run) => async (event) => {
  event?.preventDefault();
  if (isBusy) return;
  isBusy = true;
  document.body.setAttribute('aria-busy', 'true');
  try {
    await run();
  } catch (error) {
    announce(`It did not work: ${error.message}`);
    find('nothing').hidden = false;
    find('nothing').textContent = `It did not work: ${error.message}`;
  } finally {
    isBusy = false;
    document.body.removeAttribute('aria-busy');
  }
};

async function start() {
  setup = await (await fetch('/checks')).json();
  const options = setup.endpoints.map(({ method, path, needs_nonce: needsNonce, scope }, index) => {
    const extra = needsNonce ? ', with a nonce' : '';
    return element('option', { value: index, text: `${method} ${path} (${scope}${extra})` });
  });
  find('endpoint').replaceChildren(...options);
  const kept = await loadKey();
  showStorage(Boolean(kept));
  await useKey(kept ?? (await newKey()));
  await newToken();
  document.body.dataset.ready = 'true';
}

find('new-key').addEventListener('click', action(makeKey));
find('export-key').addEventListener('click', action(tryToExport));
find('keep-key').addEventListener('change', async ({ target }) => {
  await (target.checked ? saveKey(key) : forgetKey());
  showStorage(target.checked);
});
find('new-token').addEventListener('click', action(newToken));
find('request').addEventListener('submit', action(send));
find('request').addEventListener('input', showTampering);
find('replay').addEventListener('click', action(replay));
find('reset').addEventListener('click', reset);
setInterval(showToken, 1000);
setUpEvents({ call, announce });
setUpSocket({ call, announce });
showTampering();
action(start)();
