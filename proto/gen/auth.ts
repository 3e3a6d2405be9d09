/** Codecs of etcd/auth.proto. Generated: change that file and run `npm run generate`. */
import {
  EMPTY,
  decode,
  encode,
  putBytes,
  putNumber,
  putVarint,
  skip,
  takeBool,
  takeBytes,
  takeInt32,
  takeVarint,
} from '../wire.ts'
import type {
  Draft,
  Init,
  Reader,
  Writer,
} from '../wire.ts'

/** Choices made when a user is added. */
export type UserAddOptions = {
  /** The user has no password and comes with a certificate. */
  readonly noPassword: boolean
}

export function writeUserAddOptions(w: Writer, m: Init<UserAddOptions>): void {
  if (m.noPassword) {
    putVarint(w, m.noPassword ? 1 : 0)
    putVarint(w, 8)
  }
}

export function readUserAddOptions(r: Reader): UserAddOptions {
  const m: Draft<UserAddOptions> = { noPassword: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.noPassword = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeUserAddOptions(value: Init<UserAddOptions>): Buffer {
  return encode(writeUserAddOptions, value)
}

export function decodeUserAddOptions(bytes: Uint8Array): UserAddOptions {
  return decode(readUserAddOptions, bytes)
}

export const PermissionType = {
  read: 0,
  write: 1,
  readwrite: 2,
} as const

/** What a role may do with a range of keys. */
export type Permission = {
  readonly permType: number
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
}

export function writePermission(w: Writer, m: Init<Permission>): void {
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 26)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 18)
  }
  if (m.permType) {
    putNumber(w, m.permType)
    putVarint(w, 8)
  }
}

export function readPermission(r: Reader): Permission {
  const m: Draft<Permission> = { permType: 0, key: EMPTY, rangeEnd: EMPTY }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.permType = takeInt32(r)
        break
      case 18:
        m.key = takeBytes(r)
        break
      case 26:
        m.rangeEnd = takeBytes(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodePermission(value: Init<Permission>): Buffer {
  return encode(writePermission, value)
}

export function decodePermission(bytes: Uint8Array): Permission {
  return decode(readPermission, bytes)
}
