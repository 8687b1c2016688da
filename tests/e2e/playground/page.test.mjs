import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { onPage, result, shown, start } from './browser.mjs';

const stack = {};
before(async () => Object.assign(stack, await start()));
after(() => stack.stop?.());

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Shows an admitted and a rejected request, a stream that was rejected, and everything that can be opened. */
async function fill(page) {
  await result(page, () => page.click('#send'));
  await page.check('[value=htm]');
  await result(page, () => page.click('#send'));
  await page.click('#export-key');
  await page.click('#socket-open');
  await page.waitForSelector('#socket-log li:has-text("hello")');
  await page.click('#socket-again');
  await page.waitForSelector('#socket-log li:has-text("rejected")');
  await page.evaluate(() => {
    for (const details of document.querySelectorAll('details')) details.open = true;
    scrollTo(0, 0);
  });
  await page.mouse.move(0, 0);
}

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

describe('accessibility', () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      test(`axe finds nothing: ${colorScheme}, ${device}`, onPage(stack, async ({ page }) => {
        // DevTools evaluate it, so the policy of the page does not have to allow it.
        await page.evaluate(AXE);
        const violations = async () => {
          const { violations } = await page.evaluate(() => globalThis.axe.run());
          return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
        };
        assert.deepEqual(await violations(), [], 'before the first request');
        await fill(page);
        assert.deepEqual(await violations(), [], 'after a rejected one');
      }, { colorScheme, viewport }));
    }
  }

  test('nothing is wider than the screen', onPage(stack, async ({ page }) => {
    await fill(page);
    for (const width of [320, 360, 768, 1024, 1280]) {
      await page.setViewportSize({ width, height: 740 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    }
  }));

  test('everything can be done with the keyboard', onPage(stack, async ({ page }) => {
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.value);
    const tabTo = async (target) => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        if ((await focused()) !== target) continue;
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, 'none', `${target} shows the focus`);
        return;
      }
      assert.fail(`Tab does not reach ${target}`);
    };

    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the result');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'result');
    await page.evaluate(() => document.activeElement.blur());
    await page.reload();
    await page.waitForSelector('body[data-ready]');

    await tabTo('export-key');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#export-result:has-text("InvalidAccessError")');
    await tabTo('htm');
    await page.keyboard.press('Space');
    await tabTo('send');
    assert.equal((await result(page, () => page.keyboard.press('Enter'))).reason, 'proof_htm_mismatch');
    assert.equal(await focused(), 'send', 'the focus stays where it was');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'replay');
    assert.equal((await result(page, () => page.keyboard.press('Space'))).reason, 'proof_htm_mismatch');

    await page.reload();
    await page.waitForSelector('body[data-ready]');
    await tabTo('skew');
    for (let presses = 0; presses < 20; presses += 1) await page.keyboard.press('ArrowLeft');
    assert.equal(await page.textContent('#skew-value'), '100 s slow');
    // Enter in a form sends it.
    assert.equal((await result(page, () => page.keyboard.press('Enter'))).reason, 'proof_too_old');
    await tabTo('reset');
    await page.keyboard.press('Enter');
    await tabTo('events-open');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#events-log li:has-text("event 1")');
    assert.equal(await focused(), 'events-close');
    await page.keyboard.press('Enter');
    await tabTo('socket-open');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#socket-log li:has-text("hello")');
    await tabTo('socket-text');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#socket-log li:has-text("echo: hello")');
  }));

  test('verdicts are announced, and events are not', onPage(stack, async ({ page }) => {
    assert.equal(await page.getAttribute('#announcement', 'role'), 'status');
    await page.check('[value=no-proof]');
    const { announced } = await result(page, () => page.click('#send'));
    assert.match(announced, /^Rejected: 401 Unauthorized\. proof_missing: the DPoP header is missing\. Stopped at check 3 of 22\./);
    await page.click('#events-open');
    await page.waitForSelector('#events-log li:has-text("event 2")');
    assert.equal((await shown(page)).announced, 'The event stream is open.');
  }));

  test('nothing moves for people who asked for that', onPage(stack, async ({ page }) => {
    await page.evaluate(() => {
      Element.prototype.scrollIntoView = ({ behavior }) => (globalThis.behavior = behavior);
    });
    await result(page, () => page.click('#send'));
    await page.waitForFunction(() => globalThis.behavior);
    assert.equal(await page.evaluate(() => globalThis.behavior), 'auto');
  }, { reducedMotion: 'reduce', viewport: PHONE }));
});

describe('keys', () => {
  test('no script can export the private key, whether it is new or kept', onPage(stack, async ({ page, ready }) => {
    const tried = () =>
      page.evaluate(async () => {
        const { newKey } = await import('/dpop.js');
        const { loadKey } = await import('/keys.js');
        const results = [];
        for (const key of [await newKey(), await loadKey()]) {
          if (!key) continue;
          for (const format of ['jwk', 'pkcs8', 'raw']) {
            const { name } = await crypto.subtle.exportKey(format, key.privateKey).catch((error) => error);
            results.push(`${format} ${name} ${key.privateKey.extractable}`);
          }
        }
        return results;
      });
    const rejected = ['jwk', 'pkcs8', 'raw'].map((format) => `${format} InvalidAccessError false`);
    assert.deepEqual(await tried(), rejected);
    await page.check('#keep-key');
    await page.waitForSelector('#key-storage:has-text("in IndexedDB")');
    await page.reload();
    await ready();
    assert.deepEqual(await tried(), [...rejected, ...rejected]);
    await page.click('#export-key');
    assert.match(await page.textContent('#export-result'), /^InvalidAccessError: .*cannot take it away\.$/);
  }));

  test('a key survives a reload if it is kept, and only then', onPage(stack, async ({ page, ready }) => {
    const thumbprint = () => page.textContent('#thumbprint');
    const reload = async () => {
      await page.reload();
      await ready();
      return thumbprint();
    };
    const first = await thumbprint();
    const second = await reload();
    assert.notEqual(second, first);
    await page.check('#keep-key');
    await page.waitForSelector('#key-storage:has-text("in IndexedDB")');
    assert.equal(await reload(), second);
    assert.ok(await page.isChecked('#keep-key'));
    assert.equal((await result(page, () => page.click('#send'))).title, 'Admitted: 200 OK');
    await page.uncheck('#keep-key');
    await page.waitForSelector('#key-storage:has-text("in memory")');
    assert.notEqual(await reload(), second);
  }));
});

describe('the files of the page', () => {
  test('they allow nothing from elsewhere, and nothing inline', async () => {
    const html = await (await fetch(stack.origin)).text();
    assert.doesNotMatch(html, /<style|<script(?![^>]* src="\/)|\son\w+=|\sstyle=|https?:/);
    const files = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, file]) => file);
    assert.deepEqual([...new Set(files)].sort(), ['/icon.svg', '/page.css', '/page.js']);
    for (const file of ['/', '/page.css', '/page.js', '/dpop.js', '/keys.js', '/result.js', '/streams.js', '/icon.svg']) {
      const response = await fetch(stack.origin + file);
      assert.equal(response.status, 200, file);
      const policy = response.headers.get('content-security-policy');
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      for (const directive of ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) {
        assert.ok(policy.includes(directive), directive);
      }
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    }
  });

  test('the policy stops an inline script', onPage(stack, async ({ page }) => {
    const stopped = await page.evaluate(() => {
      const violation = new Promise((resolve) =>
        addEventListener('securitypolicyviolation', ({ effectiveDirective }) => resolve(effectiveDirective)),
      );
      try {
        document.body.innerHTML = '<p>markup</p>';
      } catch (error) {
        return Promise.all([violation, error.name]);
      }
      return undefined;
    });
    assert.deepEqual(stopped, ['require-trusted-types-for', 'TypeError']);
  }, { expectErrors: [/TrustedHTML/] }));
});

describe('pictures', () => {
  const LARGEST = 200_000;
  const WRITE = process.env.DPOP_WRITE_DOCS === '1';
  let folder;
  before(async () => {
    folder = WRITE
      ? fileURLToPath(new URL('../../../docs/pictures/', import.meta.url))
      : await mkdtemp(path.join(tmpdir(), 'playground-'));
    await mkdir(folder, { recursive: true });
  });
  after(async () => {
    if (!WRITE) await rm(folder, { recursive: true });
  });

  // Without motion, the page is still when the picture is taken.
  const take = (name, options) =>
    test(`docs/pictures/playground-${name}.png`, onPage(stack, async ({ page }) => {
      await page.check('[value=htm]');
      await result(page, () => page.click('#send'));
      await page.evaluate((phone) => {
        document.activeElement.blur();
        if (!phone) document.querySelector('.tamper').scrollIntoView({ block: 'center' });
      }, name === 'phone');
      await page.mouse.move(0, 0);
      const file = path.join(folder, `playground-${name}.png`);
      await page.screenshot({ path: file, scale: 'css' });
      const { size } = await stat(file);
      assert.ok(size > 10_000 && size < LARGEST, `${size} bytes`);
      const picture = await readFile(file);
      const { width, height } = options.viewport;
      assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [width, height]);
    }, { reducedMotion: 'reduce', ...options }));

  take('light', { viewport: { width: 1200, height: 800 } });
  take('dark', { viewport: { width: 1200, height: 800 }, colorScheme: 'dark' });
  take('phone', { viewport: { width: 360, height: 740 } });
});
