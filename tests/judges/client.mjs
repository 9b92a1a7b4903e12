// A client of the hub that shares no code with it: gets a token with private_key_jwt, bound to a key or not, and calls.
// stdin: {hub, client_id, kid, private_key, bound, calls: [[method, path, body?]]}; stdout: {token_type, claims, statuses}.
import { createPrivateKey } from 'node:crypto';
import { decodeJwt } from 'jose';
import * as oauth from 'oauth4webapi';

const input = JSON.parse(await new Response(process.stdin).text());
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
const pkcs8 = createPrivateKey(input.private_key).export({ format: 'der', type: 'pkcs8' });
const key = await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
const server = { issuer: input.hub, token_endpoint: `${input.hub}/oauth/token` };
const client = { client_id: input.client_id };
const options = { [oauth.allowInsecureRequests]: true };
if (input.bound) options.DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));

const answer = await oauth.clientCredentialsGrantRequest(
  server,
  client,
  oauth.PrivateKeyJwt({ key, kid: input.kid }),
  new URLSearchParams(),
  options,
);
const token = await oauth.processClientCredentialsResponse(server, client, answer);
const statuses = [];
for (const [method, path, body] of input.calls) {
  const headers = new Headers(body === undefined ? {} : { 'Content-Type': 'application/json' });
  const url = new URL(`${input.hub}${path}`);
  try {
    const reply = await oauth.protectedResourceRequest(token.access_token, method, url, headers, body, options);
    statuses.push(reply.status);
  } catch (error) {
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
    statuses.push([error.status, error.cause.map(({ scheme, parameters }) => [scheme, parameters.error ?? null])]);
  }
}
process.stdout.write(JSON.stringify({ token_type: token.token_type, claims: decodeJwt(token.access_token), statuses }));
