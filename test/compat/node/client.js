'use strict';

// What a Node program does with the stock node-vault client, from a server nobody has initialized to one that ends the client's token.
// The address is VAULT_ADDR. Any difference from what Vault answers throws.

const assert = require('node:assert/strict');
const vault = require('node-vault');

const client = vault({ apiVersion: 'v1' });

// refused checks the status and the first error text of what the server must not do.
async function refused(promise, status, text) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.response?.statusCode, status, error.stack);
    if (text === undefined) assert.deepEqual(error.response.body, { errors: [] });
    else assert.match(error.message, text);
    return true;
  });
}

async function begin() {
  assert.deepEqual(await client.initialized(), { initialized: false });
  await refused(client.read('secret/data/app'), 503, /^Vault is not initialized/);
  const { keys, keys_base64: encoded, root_token: root } = await client.init({ secret_shares: 5, secret_threshold: 3 });
  assert.equal(keys.length, 5);
  assert.equal(Buffer.from(encoded[0], 'base64').toString('hex'), keys[0]);
  assert.equal((await client.health()).sealed, true);
  await refused(client.mounts(), 503, /^Vault is sealed$/);

  let status = await client.unseal({ secret_shares: 1, key: keys[0] });
  assert.deepEqual([status.sealed, status.progress, status.t, status.n], [true, 1, 3, 5]);
  status = await client.unseal({ secret_shares: 1, key: encoded[1] });
  assert.equal(status.progress, 2);
  status = await client.unseal({ secret_shares: 1, key: keys[4] });
  assert.deepEqual([status.sealed, status.progress], [false, 0]);
  assert.equal((await client.status()).sealed, false);
  const health = await client.health();
  assert.deepEqual([health.initialized, health.sealed, health.standby], [true, false, false]);
  assert.equal((await client.leader()).is_self, true);
  await refused(client.mounts(), 403, /permission denied/);
  client.token = root;
  return root;
}

async function mounts() {
  await client.mount({ mount_point: 'secret', type: 'kv', options: { version: '2' }, description: 'for tests' });
  await client.mount({ mount_point: 'old', type: 'kv', options: { version: '1' } });
  const all = await client.mounts();
  assert.equal(all.data['secret/'].type, 'kv');
  assert.equal(all['secret/'].description, 'for tests'); // older clients look beside "data"
  assert.equal(all.data['secret/'].options.version, '2');
  await refused(client.mount({ mount_point: 'secret', type: 'kv' }), 400, /path is already in use at secret\//);
  await client.enableAuth({ mount_point: 'kubernetes', type: 'kubernetes' });
  assert.equal((await client.auths()).data['kubernetes/'].type, 'kubernetes');
  await client.disableAuth({ mount_point: 'kubernetes' });
  assert.equal((await client.auths()).data['kubernetes/'], undefined);
}

async function secrets() {
  let answer = await client.write('secret/data/app', { data: { user: 'ada', unicode: 'Grüße ✓', nested: { n: 1.5, list: [1, null] } } });
  assert.equal(answer.data.version, 1);
  answer = await client.read('secret/data/app');
  assert.deepEqual(answer.data.data, { user: 'ada', unicode: 'Grüße ✓', nested: { n: 1.5, list: [1, null] } });
  assert.equal(answer.data.metadata.version, 1);
  await client.update('secret/data/app', { data: { user: null, password: 'x' }, options: { cas: 1 } });
  answer = await client.read('secret/data/app');
  assert.deepEqual(Object.keys(answer.data.data).sort(), ['nested', 'password', 'unicode']);
  await refused(client.write('secret/data/app', { data: {}, options: { cas: 1 } }), 400, /check-and-set parameter did not match the current version/);
  assert.deepEqual((await client.list('secret/metadata')).data.keys, ['app']);
  await client.delete('secret/data/app');
  await refused(client.read('secret/data/none'), 404);
  await client.write('secret/undelete/app', { versions: [2] });
  await client.write('secret/destroy/app', { versions: [1] });
  answer = await client.read('secret/metadata/app');
  assert.equal(answer.data.versions[1].destroyed, true);
  assert.equal(answer.data.versions[2].deletion_time, '');

  await client.write('old/a/b', { k: 'v' });
  assert.deepEqual((await client.read('old/a/b')).data, { k: 'v' });
  assert.deepEqual((await client.list('old')).data.keys, ['a/']);
  await client.delete('old/a/b');
  await refused(client.list('old'), 404);
}

async function policiesAndTokens(root) {
  const rules = 'path "secret/data/app" { capabilities = ["read"] }';
  await client.addPolicy({ name: 'reader', rules });
  assert.deepEqual((await client.policies()).policies, ['default', 'reader', 'root']);
  assert.equal((await client.getPolicy({ name: 'reader' })).rules, rules);

  const made = await client.tokenCreate({ policies: ['reader'], ttl: '1h', meta: { team: 'a' } });
  assert.deepEqual(made.auth.policies, ['default', 'reader']);
  assert.equal(made.auth.lease_duration, 3600);
  client.token = made.auth.client_token;
  const self = await client.tokenLookupSelf();
  assert.deepEqual([self.data.id, self.data.meta, self.data.path], [client.token, { team: 'a' }, 'auth/token/create']);
  assert.equal((await client.read('secret/data/app')).data.metadata.version, 2);
  await refused(client.write('secret/data/app', { data: {} }), 403, /permission denied/);
  await refused(client.policies(), 403, /permission denied/);
  assert.equal((await client.tokenRenewSelf({ increment: '2h' })).auth.renewable, true);

  client.token = root;
  assert.equal((await client.tokenLookup({ token: made.auth.client_token })).data.accessor, made.auth.accessor);
  assert.equal((await client.tokenLookupAccessor({ accessor: made.auth.accessor })).data.id, '');
  await client.tokenRevokeAccessor({ accessor: made.auth.accessor });
  client.token = made.auth.client_token;
  await refused(client.tokenLookupSelf(), 403, /permission denied/);
  client.token = root;
  await client.removePolicy({ name: 'reader' });
  await client.unmount({ mount_point: 'old' });
  await client.seal();
  assert.equal((await client.status()).sealed, true);
}

async function main() {
  const root = await begin();
  await mounts();
  await secrets();
  await policiesAndTokens(root);
}

main().then(() => console.log('ok'), (error) => {
  console.error(error);
  process.exit(1);
});
