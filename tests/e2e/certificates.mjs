import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificates made with openssl, since Node.js cannot make any. */
export class Certificates {
  directory = mkdtempSync(join(tmpdir(), 'dpop-tower-e2e-'));

  path = (name) => join(this.directory, name);
  tls = (name) => ({ cert: readFileSync(this.path(`${name}.pem`)), key: readFileSync(this.path(`${name}.key`)) });
  remove = () => rmSync(this.directory, { recursive: true });

  #openssl(...args) {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe' });
  }

  #request(name, subject, ...args) {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    this.#openssl('req', ...key, '-subj', `/CN=${subject}`, ...args);
  }

  authority(name) {
    this.#request(name, name, '-x509', '-days', '2', '-out', `${name}.pem`);
  }

  #leaf(name, authority, subject, extensions) {
    this.#request(name, subject, '-out', `${name}.csr`);
    writeFileSync(this.path(`${name}.ext`), `${extensions}basicConstraints = CA:FALSE\n`);
    const signer = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial'];
    const files = ['-in', `${name}.csr`, '-out', `${name}.pem`, '-extfile', `${name}.ext`];
    this.#openssl('x509', '-req', '-days', '2', ...signer, ...files);
  }

  server(name, authority, host) {
    this.#leaf(name, authority, host, `subjectAltName = DNS:${host}\n`);
  }

  client(name, authority) {
    this.#leaf(name, authority, name, 'extendedKeyUsage = clientAuth\n');
  }
}
