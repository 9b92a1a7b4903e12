// Judges what the hub signs with libraries that share no code with it.
// stdin: {kind, jwks, items, status_lists?, now?}; stdout: one verdict an item: {accepted, error?, ...}.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { ES256, digest } from '@sd-jwt/crypto-nodejs';
import { getListFromStatusListJWT } from '@sd-jwt/jwt-status-list';
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc';
import { compactVerify, createLocalJWKSet, decodeProtectedHeader } from 'jose';

const input = JSON.parse(await new Response(process.stdin).text());
const keySet = createLocalJWKSet(input.jwks);
const keyOf = (kid) => {
  const found = input.jwks.keys.find((key) => key.kid === kid);
  if (!found) throw new Error('no key with this kid');
  return found;
};
const byHeader = async (data, signature) => {
  const header = JSON.parse(Buffer.from(data.split('.')[0], 'base64url').toString());
  return (await ES256.getVerifier(keyOf(header.kid)))(data, signature);
};

// The package fetches the status list by itself; without one at hand only signature and disclosures are judged.
class WithoutStatus extends SDJwtVcInstance {
  async verifyStatus() {}
}

async function judgeCredential(credential) {
  const jwt = credential.split('~')[0];
  const { protectedHeader } = await compactVerify(jwt, keySet, { algorithms: ['ES256'] });
  if (protectedHeader.typ !== 'dc+sd-jwt') throw new Error('typ');
  let status = null;
  const settings = {
    verifier: byHeader,
    statusVerifier: byHeader,
    hasher: digest,
    hashAlg: 'sha-256',
    statusListFetcher: async (uri) => {
      const token = (input.status_lists ?? {})[uri];
      if (!token) throw new Error('no status list at hand');
      return token;
    },
    statusValidator: async (value) => {
      status = value;
    },
  };
  const Instance = input.status_lists ? SDJwtVcInstance : WithoutStatus;
  const result = await new Instance(settings).verify(credential, { currentDate: input.now });
  return { payload: result.payload, status };
}

async function judgeStatusList({ token, indexes }) {
  const { payload, protectedHeader } = await compactVerify(token, keySet, { algorithms: ['ES256'] });
  if (protectedHeader.typ !== 'statuslist+jwt') throw new Error('typ');
  const list = getListFromStatusListJWT(token);
  const claims = JSON.parse(new TextDecoder().decode(payload));
  return { claims, values: indexes.map((index) => list.getStatus(index)) };
}

// Digits: no COSE package, so this is also the example of how little code checks them.
function readCbor(bytes) {
  let at = 0;
  const take = (count) => {
    if (at + count > bytes.length) throw new Error('truncated');
    at += count;
    return bytes.subarray(at - count, at);
  };
  const value = () => {
    const initial = take(1)[0];
    const major = initial >> 5;
    let argument = initial & 31;
    if (argument > 23) argument = Number(BigInt(`0x${Buffer.from(take(1 << (argument - 24))).toString('hex')}`));
    if (major === 0) return argument;
    if (major === 1) return -1 - argument;
    if (major === 2) return Buffer.from(take(argument));
    if (major === 3) return Buffer.from(take(argument)).toString('utf8');
    if (major === 4) return Array.from({ length: argument }, value);
    if (major === 5) return new Map(Array.from({ length: argument }, () => [value(), value()]));
    if (major === 7 && argument === 22) return null;
    throw new Error('type');
  };
  const result = value();
  if (at !== bytes.length) throw new Error('trailing bytes');
  return result;
}

const cborBytes = (major, content) => {
  const size = content.length;
  const head = size < 24 ? [size] : size < 256 ? [24, size] : [25, size >> 8, size & 255];
  head[0] |= major << 5;
  return Buffer.concat([Buffer.from(head), content]);
};

function judgeDigits({ code, digits }) {
  const hex = BigInt(digits).toString(16);
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
  if (bytes[0] !== 1) throw new Error('format version');
  const [header, , payload, signature] = readCbor(bytes.subarray(1));
  const parameters = readCbor(header);
  if (parameters.get(1) !== -7) throw new Error('algorithm');
  const toBeSigned = Buffer.concat([
    Buffer.from([0x84]),
    cborBytes(3, Buffer.from('Signature1')),
    cborBytes(2, header),
    cborBytes(2, Buffer.from(code, 'ascii')),
    cborBytes(2, payload),
  ]);
  const jwk = keyOf(parameters.get(4).toString('base64url'));
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const kid = createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest().subarray(0, 8);
  if (!kid.equals(parameters.get(4))) throw new Error('kid');
  if (!verify('sha256', toBeSigned, { key, dsaEncoding: 'ieee-p1363' }, signature)) throw new Error('signature');
  return { face: Object.fromEntries(readCbor(payload)) };
}

const judge = { credential: judgeCredential, status_list: judgeStatusList, digits: judgeDigits }[input.kind];
const verdicts = [];
for (const item of input.items) {
  try {
    verdicts.push({ accepted: true, ...(await judge(item)) });
  } catch (error) {
    verdicts.push({ accepted: false, error: String(error?.message ?? error) });
  }
}
process.stdout.write(JSON.stringify(verdicts));
