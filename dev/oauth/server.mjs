// A certified authorization server (oidc-provider) with a control API beside it: grants are seeded without a browser,
// and every token request is counted by the refresh token and the family that it belongs to.
//
//   node server.mjs '{"clients": [...], "rotate": true, "grace": 0, "accessTokenTtl": 60, ...}'
//
// prints `READY <url>` when it serves. Everything under /_control belongs to the test, not to OAuth:
//
//   POST /_control/grants    {client, account, count}   -> [{grantId, refreshToken, accessToken, expiresIn}, ...]
//   POST /_control/revoke    {grantId}                  the account withdraws its consent
//   POST /_control/settings  {rotate, grace, accessTokenTtl, oldAccessTokenDies}   any of them
//   GET  /_control/state                                what was counted
//
// No token value is ever counted or shown by the control API, except to the one who seeds it.

import http from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import * as oidc from 'oidc-provider';

const SCOPE = 'offline_access api:read';
const config = JSON.parse(process.argv[2] ?? '{}');
const settings = {
  rotate: config.rotate ?? true,
  grace: config.grace ?? 0, // seconds in which a used refresh token still works
  accessTokenTtl: config.accessTokenTtl ?? 60,
  oldAccessTokenDies: config.oldAccessTokenDies ?? false, // with the refresh, as at GitHub
};

// --- storage -------------------------------------------------------------------------------------------------------
// The library's own memory store forgets everything beyond 1000 entries, which looks like a revoked grant.

const store = new Map(); // "Model:id" -> {payload, expiresAt, consumedAt}
const members = new Map(); // grant id -> keys of its tokens

class Adapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    store.set(key, { payload, expiresAt: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
    if (payload.grantId && this.model !== 'Grant') {
      if (!members.has(payload.grantId)) members.set(payload.grantId, new Set());
      members.get(payload.grantId).add(key);
    }
  }

  async find(id) {
    const entry = store.get(this.key(id));
    if (!entry || entry.expiresAt < Date.now()) return undefined;
    const used = entry.consumedAt !== undefined && Date.now() >= entry.consumedAt + settings.grace * 1000;
    return used ? { ...entry.payload, consumed: Math.floor(entry.consumedAt / 1000) } : entry.payload;
  }

  async consume(id) {
    const entry = store.get(this.key(id));
    if (entry) entry.consumedAt ??= Date.now();
  }

  async destroy(id) {
    store.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of members.get(grantId) ?? []) if (key.startsWith(`${this.model}:`)) store.delete(key);
  }

  async findByUid() {}

  async findByUserCode() {}
}

setInterval(() => {
  for (const [key, entry] of store) if (entry.expiresAt < Date.now()) store.delete(key);
  for (const keys of members.values()) for (const key of keys) if (!store.has(key)) keys.delete(key);
}, 10_000).unref();

// --- counting ------------------------------------------------------------------------------------------------------

const families = new Map(); // grant id -> {client, account, revoked, tokens: [{accepted, refused}]}
const places = new Map(); // refresh token -> {family, token}
const totals = { requests: 0, accepted: 0, refused: 0, strangers: 0, revokedFamilies: 0, errors: {} };

function issued(value, grantId, clientId, account) {
  if (places.has(value)) return;
  if (!families.has(grantId)) families.set(grantId, { client: clientId, account, revoked: false, tokens: [] });
  const family = families.get(grantId);
  const token = { accepted: 0, refused: 0 };
  family.tokens.push(token);
  places.set(value, { family, token });
}

function count(ctx, kind, error) {
  totals.requests += 1;
  totals[kind] += 1;
  if (error) totals.errors[error] = (totals.errors[error] ?? 0) + 1;
  const params = ctx.oidc?.params;
  if (params?.grant_type !== 'refresh_token') return;
  const place = places.get(params.refresh_token);
  if (place) place.token[kind] += 1;
  else totals.strangers += 1;
}

function dropOlderAccessTokens(ctx) {
  const current = ctx.oidc.entities.AccessToken?.jti;
  for (const key of members.get(ctx.oidc.entities.Grant?.jti) ?? []) {
    if (key.startsWith('AccessToken:') && key !== `AccessToken:${current}`) store.delete(key);
  }
}

// --- the server ----------------------------------------------------------------------------------------------------

const server = http.createServer();
await new Promise((resolve) => {
  server.listen(config.port ?? 0, '127.0.0.1', resolve);
});
const url = `http://127.0.0.1:${server.address().port}`;

const provider = new oidc.Provider(url, {
  adapter: Adapter,
  clients: (config.clients ?? []).map((client) => ({
    redirect_uris: ['https://client.invalid/callback'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    ...client,
  })),
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    introspection: { enabled: true },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
  },
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  scopes: SCOPE.split(' '),
  rotateRefreshToken: () => settings.rotate,
  ttl: {
    AccessToken: () => settings.accessTokenTtl,
    ClientCredentials: () => settings.accessTokenTtl,
    RefreshToken: config.refreshTokenTtl ?? 86_400,
    Grant: config.refreshTokenTtl ?? 86_400,
  },
  jwks: { keys: [signingKey()] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

// Made as a JWK at once: in Node.js 20, exporting a key that was just generated waits for ever when the garbage
// collector comes in between.
function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'jwk' },
    privateKeyEncoding: { type: 'pkcs8', format: 'jwk' },
  });
  return { ...privateKey, kid: 'server', use: 'sig', alg: 'RS256' };
}

provider.on('refresh_token.saved', (token) => issued(token.jti, token.grantId, token.clientId, token.accountId));
provider.on('grant.success', (ctx) => {
  count(ctx, 'accepted');
  if (settings.oldAccessTokenDies) dropOlderAccessTokens(ctx);
});
provider.on('grant.error', (ctx, error) => count(ctx, 'refused', error.error));
provider.on('server_error', (_, error) => console.error(error));
provider.on('grant.revoked', (_, grantId) => markRevoked(grantId));

function markRevoked(grantId) {
  const family = families.get(grantId);
  if (!family || family.revoked) return;
  family.revoked = true;
  totals.revokedFamilies += 1;
}

// --- the control API -----------------------------------------------------------------------------------------------

async function seed({ client: clientId, account = 'account', count: wanted = 1 }) {
  const client = await provider.Client.find(clientId);
  if (!client) throw new Error(`no client ${clientId}`);
  const made = [];
  for (let n = 0; n < wanted; n += 1) {
    const accountId = wanted === 1 ? account : `${account}-${n}`;
    const grant = new provider.Grant({ accountId, clientId });
    grant.addOIDCScope(SCOPE);
    const grantId = await grant.save();
    const common = { accountId, client, grantId, gty: 'authorization_code', scope: SCOPE, claims: {} };
    const refreshToken = await new provider.RefreshToken({ ...common, authTime: epoch() }).save();
    const accessToken = await new provider.AccessToken({ ...common, expiresIn: settings.accessTokenTtl }).save();
    made.push({ grantId, refreshToken, accessToken, expiresIn: settings.accessTokenTtl });
  }
  return made;
}

function epoch() {
  return Math.floor(Date.now() / 1000);
}

async function withdraw({ grantId }) {
  for (const key of members.get(grantId) ?? []) store.delete(key);
  store.delete(`Grant:${grantId}`);
  markRevoked(grantId);
  return {};
}

const control = {
  'POST /_control/grants': seed,
  'POST /_control/revoke': withdraw,
  'POST /_control/settings': async (changes) => Object.assign(settings, changes),
  'GET /_control/state': async () => ({ ...totals, settings, families: Object.fromEntries(families) }),
};

async function answer(act, req, res) {
  try {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const result = await act(body ? JSON.parse(body) : {});
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
  } catch (error) {
    res.writeHead(400).end(String(error.message));
  }
}

const oauth = provider.callback();
server.on('request', (req, res) => {
  const act = control[`${req.method} ${req.url}`];
  if (act) answer(act, req, res);
  else oauth(req, res);
});
console.log(`READY ${url}`);
