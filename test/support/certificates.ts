/**
 * Certificate authorities and certificates for tests, made on the spot: nothing to keep, nothing that
 * expires. Elliptic keys, a subject name, and the names and addresses of loopback.
 */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

export type Authority = {
  readonly name: string
  /** PEM. */
  readonly certificate: string
  readonly key: KeyObject
}

export type Identity = { readonly certificate: string; readonly key: string }

const TAG = {
  sequence: 0x30,
  set: 0x31,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  id: 0x06,
} as const

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

function objectId(...numbers: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = numbers
  const bytes = rest.flatMap((number) => {
    const groups = [number & 0x7f]
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return der(TAG.id, Buffer.from([first * 40 + second, ...bytes]))
}

const ECDSA_SHA256 = der(TAG.sequence, objectId(1, 2, 840, 10045, 4, 3, 2))
const BOOLEAN_TRUE = Buffer.from([1, 1, 0xff])

function subject(name: string): Buffer {
  const pair = der(TAG.sequence, objectId(2, 5, 4, 3), der(0x0c, Buffer.from(name)))
  return der(TAG.sequence, der(TAG.set, pair))
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return der(0x18, Buffer.from(digits))
}

function extension(id: Buffer, value: Buffer, isCritical = false): Buffer {
  return der(TAG.sequence, id, ...(isCritical ? [BOOLEAN_TRUE] : []), der(TAG.octets, value))
}

function extensions(isAuthority: boolean): Buffer {
  const basic = der(TAG.sequence, ...(isAuthority ? [BOOLEAN_TRUE] : []))
  const names = der(
    TAG.sequence,
    der(0x82, Buffer.from('localhost')),
    der(0x87, Buffer.from([127, 0, 0, 1])),
  )
  const list = [extension(objectId(2, 5, 29, 19), basic, true)]
  if (!isAuthority) list.push(extension(objectId(2, 5, 29, 17), names))
  return der(0xa3, der(TAG.sequence, ...list))
}

let serial = Math.floor(Math.random() * 2 ** 30)

function issue(name: string, key: KeyObject, issuer: string, signer: KeyObject): string {
  const dayMs = 86_400_000
  // Neither negative nor with a zero in front.
  const number = Buffer.from([1, 0, 0, 0, 0])
  number.writeUInt32BE(serial++, 1)
  const content = der(
    TAG.sequence,
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, number),
    ECDSA_SHA256,
    subject(issuer),
    der(TAG.sequence, time(Date.now() - dayMs), time(Date.now() + 30 * dayMs)),
    subject(name),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    extensions(name === issuer),
  )
  const signature = der(TAG.bits, Buffer.from([0]), sign('sha256', content, signer))
  const text = der(TAG.sequence, content, ECDSA_SHA256, signature).toString('base64')
  const lines = text.replaceAll(/.{1,64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** An authority that signs itself. */
export function createAuthority(name: string): Authority {
  const key = newKey()
  return { name, certificate: issue(name, key, name, key), key }
}

/** A certificate for loopback, good for a server and for a client. */
export function createIdentity(authority: Authority, name: string): Identity {
  const key = newKey()
  return {
    certificate: issue(name, key, authority.name, authority.key),
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}
