// Shows one exchange: the verdict, the checks, the proof, the token, and what was on the wire.

const find = (id) => document.getElementById(id);
const PARTS = { request: 'The request', proof: 'The proof', token: 'The token', both: 'Token, key and route' };
const MARKS = { passed: '✓', failed: '✗', 'not made': '·', 'not required': '–' };

export function element(name, { text, ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  node.append(...children);
  return node;
}

const short = (text) => (text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text);
const ago = (secs) => (secs < 0 ? `${-secs} s in the future` : `${secs} s ago`);

/** What a check looks at. The texts repeat the request, and the verdict is the server's. */
const SEEN = {
  authorization: ({ authorization }) => (authorization ? 'one' : 'none'),
  scheme: ({ authorization }) => authorization?.split(' ')[0],
  proof: ({ proof }) => (proof ? `one, ${proof.text.length} bytes` : 'none'),
  typ: ({ proof }) => proof?.header.typ,
  crit: ({ proof }) => proof && (proof.header.crit ? 'one' : 'none'),
  alg: ({ proof }) => proof?.header.alg,
  jwk: ({ proof }) => proof && `${proof.header.jwk.kty} ${proof.header.jwk.crv}, no private member`,
  claims: ({ proof }) => proof && Object.keys(proof.claims).join(', '),
  htm: ({ proof, method }) => proof && compared(proof.claims.htm, method),
  htu: ({ proof, url }) => proof && compared(proof.claims.htu, url),
  iat: ({ proof, sentAt }) => proof && ago(sentAt - proof.claims.iat),
  nonce: ({ proof }) => proof && (proof.claims.nonce ? short(proof.claims.nonce) : 'none'),
  ath: ({ proof }) => proof?.claims.ath && short(proof.claims.ath),
  token: ({ token }) => token && `${token.header.typ}, ${token.header.alg}`,
  issuer: ({ token }) => token?.claims.iss,
  expiry: ({ token, sentAt }) => {
    if (!token) return undefined;
    const left = token.claims.exp - sentAt;
    return left > 0 ? `in ${left} s` : `${-left} s ago`;
  },
  issued: ({ token }) => token && `key ${short(token.header.kid)}`,
  binding: ({ proof, token, proofThumbprint }) =>
    proof && token && compared(short(token.claims.cnf.jkt), short(proofThumbprint)),
  scope: ({ token }) => token?.claims.scope,
  replay: ({ proof }) => proof && `jti ${short(proof.claims.jti)}`,
};

const compared = (one, other) => (one === other ? `${one}` : `${one}, not ${other}`);

/** Returns what became of each check: those before the reason of a rejection passed. */
export function outcomes({ checks, reason, admitted, needsNonce, proof }) {
  const failed = checks.findIndex((check) => check.reasons.includes(reason));
  return checks.map((check, index) => {
    if (index === failed) return 'failed';
    if (admitted || index < failed) {
      return check.id === 'nonce' && !needsNonce && !proof?.claims.nonce ? 'not required' : 'passed';
    }
    return 'not made';
  });
}

function showChecks(exchange) {
  const states = outcomes(exchange);
  let number = 0;
  const groups = Object.entries(PARTS).map(([part, title]) => {
    const list = element('ol');
    const inPart = [];
    exchange.checks.forEach((check, index) => {
      if (check.part !== part) return;
      number += 1;
      const state = states[index];
      inPart.push(state);
      // What a check that was not made would have looked at does not matter.
      const seen = state === 'not made' ? undefined : SEEN[check.id]?.(exchange);
      const item = element(
        'li',
        { 'data-check': check.id, 'data-state': state },
        element('span', { class: 'mark', 'aria-hidden': 'true', text: MARKS[state] }),
        element(
          'div',
          {},
          element('span', { class: 'visually-hidden', text: `${state}: ` }),
          element('span', { class: 'name', text: `${number}. ${check.name}` }),
          element('span', { class: 'clause', text: check.clause }),
          ...(seen ? [element('span', { class: 'seen', text: seen })] : []),
        ),
      );
      list.append(item);
    });
    const partState = ['failed', 'not made'].find((it) => inPart.includes(it)) ?? 'passed';
    return element('div', { class: 'part', 'data-part': part, 'data-state': partState }, element('h4', { text: title }), list);
  });
  find('checks').replaceChildren(...groups);
}

/** Members that were tampered with are marked. */
function json(title, object, tampered = []) {
  const lines = Object.entries(object).map(([name, value], index, all) => {
    const lines = JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
    const text = `  ${JSON.stringify(name)}: ${lines}${index + 1 < all.length ? ',' : ''}\n`;
    return tampered.includes(name) ? element('mark', { text }) : document.createTextNode(text);
  });
  const pre = element('pre', {}, '{\n', ...lines, '}');
  return element('div', {}, element('h4', { text: title }), pre);
}

function showJwt(target, jwt, absent, tampered = {}) {
  const nodes = jwt
    ? [json('Header', jwt.header, tampered.header), json('Claims', jwt.claims, tampered.claims)]
    : [element('p', { class: 'note', text: absent })];
  target.replaceChildren(...nodes);
}

const head = (start, headers) => [start, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\n');

function showWire(exchange) {
  const { method, url, requestHeaders, status, statusText, responseHeaders, body } = exchange;
  const { pathname, host } = new URL(url);
  find('wire-request').textContent = head(`${method} ${pathname} HTTP/1.1`, [['host', host], ...requestHeaders]);
  find('wire-response').textContent = `${head(`HTTP/1.1 ${status} ${statusText}`, responseHeaders)}\n\n${body}`;
}

export function summary(exchange) {
  const { admitted, status, statusText, reason, number, method, path } = exchange;
  const verdict = admitted ? `${status} ${statusText}` : `${status} ${reason ?? statusText}`;
  return `${number}. ${method} ${path}: ${verdict}`;
}

/** Shows the exchange, and returns a sentence about it for screen readers. */
export function show(exchange) {
  const { admitted, status, statusText, reason, error, detail, checks } = exchange;
  find('nothing').hidden = true;
  find('exchange').hidden = false;
  find('verdict').dataset.state = admitted ? 'passed' : 'failed';
  find('verdict-mark').textContent = admitted ? '✓' : '✗';
  const title = admitted ? `Admitted: ${status} ${statusText}` : `Rejected: ${status} ${statusText}`;
  const failed = checks.findIndex((check) => check.reasons.includes(reason));
  const made = admitted ? `All checks passed.` : `Stopped at check ${failed + 1} of ${checks.length}.`;
  find('verdict-title').textContent = title;
  const paragraph = find('verdict-detail');
  if (admitted) {
    paragraph.replaceChildren(made);
  } else {
    const code = element('code', { id: 'reason', text: reason ?? 'unknown' });
    paragraph.replaceChildren(code, `: ${detail ?? 'the server does not say why'}. ${failed < 0 ? '' : made}`);
    if (error) paragraph.append(' The client is told ', element('code', { text: error }), '.');
  }
  showChecks(exchange);
  showJwt(find('proof'), exchange.proof, 'The request has no proof.', exchange.tampered);
  showJwt(find('token'), exchange.token, 'The request has no token.');
  showWire(exchange);
  return `${title}. ${paragraph.textContent}`;
}
