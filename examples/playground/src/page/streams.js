// An event stream and a web socket, which both end when their token expires.

import { element } from './result.js';

const LONGEST_LOG = 50;

const find = (id) => document.getElementById(id);

function logTo(id) {
  const list = find(id);
  return (text, state = 'note') => {
    list.append(element('li', { 'data-state': state, text }));
    while (list.childElementCount > LONGEST_LOG) list.firstElementChild.remove();
    list.scrollTop = list.scrollHeight;
  };
}

/** `call` sends an honest request, and `announce` tells screen readers. */
export function setUpEvents({ call, announce }) {
  const log = logTo('events-log');
  let controller;

  async function open() {
    controller = new AbortController();
    find('events-open').disabled = true;
    find('events-close').disabled = false;
    find('events-close').focus();
    try {
      const response = await call('GET', '/api/events', { signal: controller.signal });
      if (!response.ok) {
        const { reason } = await response.json();
        log(`rejected: ${response.status} ${reason}`, 'failed');
        announce(`The event stream was rejected: ${reason}`);
        return;
      }
      log('open', 'passed');
      announce('The event stream is open.');
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        for (const line of chunk.value.split('\n')) {
          if (!line.startsWith('data: ')) continue;
          const { event, token_expires_at: end } = JSON.parse(line.slice(6));
          log(`event ${event}; the token has ${Math.max(0, end - Math.floor(Date.now() / 1000))} s left`);
        }
      }
      log('the server has ended the stream: the token has expired', 'failed');
      announce('The server has ended the event stream: the token has expired.');
    } catch (error) {
      const text = error.name === 'AbortError' ? 'closed by this page' : `failed: ${error.message}`;
      log(text);
      announce(`The event stream was ${text}.`);
    } finally {
      find('events-open').disabled = false;
      if (document.activeElement === find('events-close')) find('events-open').focus();
      find('events-close').disabled = true;
    }
  }

  find('events-open').addEventListener('click', open);
  find('events-close').addEventListener('click', () => controller?.abort());
}

export function setUpSocket({ call, announce }) {
  const log = logTo('socket-log');
  let socket;
  let ticket;

  function connect() {
    const url = new URL('/socket', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const opened = new WebSocket(url, ['playground', `ticket.${ticket}`]);
    let wasOpen = false;
    opened.addEventListener('open', () => {
      wasOpen = true;
      socket = opened;
      find('socket-send').disabled = false;
      log('open', 'passed');
      announce('The WebSocket is open.');
    });
    opened.addEventListener('message', ({ data }) => log(data));
    opened.addEventListener('close', ({ code, reason }) => {
      // A browser does not tell a page why the server has rejected a socket.
      const text = wasOpen ? `closed: ${code} ${reason}` : 'rejected: a ticket is good once, and for 10 s';
      log(text, 'failed');
      announce(`The WebSocket was ${text}`);
      if (socket === opened) {
        socket = undefined;
        find('socket-send').disabled = true;
      }
    });
  }

  find('socket-open').addEventListener('click', async () => {
    socket?.close(1000, 'another one is opened');
    const response = await call('POST', '/api/tickets');
    if (!response.ok) {
      const { reason } = await response.json();
      log(`no ticket: ${response.status} ${reason}`, 'failed');
      announce(`There is no ticket: ${reason}`);
      return;
    }
    ({ ticket } = await response.json());
    log(`ticket ${ticket.slice(0, 6)}…`);
    find('socket-again').disabled = false;
    connect();
  });
  find('socket-again').addEventListener('click', connect);
  find('socket-form').addEventListener('submit', (event) => {
    event.preventDefault();
    socket?.send(find('socket-text').value);
  });
}
