/**
 * Where things lie in the coordinator, all below one prefix:
 *
 *   members/NAME   who is there            under the worker's session
 *   claims/UNIT    who has a unit          under the holder's session
 *   planner        who plans               under the planner's session
 *   assign/UNIT    who should have a unit  under no session: it outlives the planner
 */
import { assert } from '../lib/assert.ts'

export type KeyRange = { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }

/** What a key is about; `other` was written by somebody else, or by a later version. */
export type KeyMeaning =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'claim'; readonly unit: string }
  | { readonly kind: 'assignment'; readonly unit: string }
  | { readonly kind: 'planner' }
  | { readonly kind: 'other' }

export type Keys = {
  readonly all: KeyRange
  readonly members: KeyRange
  readonly planner: Uint8Array
  member(name: string): Uint8Array
  claim(unit: string): Uint8Array
  assignment(unit: string): Uint8Array
  read(key: Uint8Array): KeyMeaning
}

const SLASH = 0x2f

/** `prefix` ends with a slash; nothing else of the coordinator may lie below it. */
export function createKeys(prefix: string): Keys {
  assert(
    prefix.length > 1 && prefix.endsWith('/'),
    `the prefix "${prefix}" does not end with a slash`,
  )
  const bytes = (rest: string): Uint8Array => Buffer.from(prefix + rest)
  return {
    all: below(prefix),
    members: below(`${prefix}members/`),
    planner: bytes('planner'),
    member: (name) => bytes(`members/${name}`),
    claim: (unit) => bytes(`claims/${unit}`),
    assignment: (unit) => bytes(`assign/${unit}`),
    read(key) {
      const text = textOf(key)
      return text.startsWith(prefix) ? meaningOf(text.slice(prefix.length)) : { kind: 'other' }
    },
  }
}

/** The text of some bytes, without copying them first. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

/** The key right after this one. */
export function successor(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.from([0])])
}

function meaningOf(rest: string): KeyMeaning {
  if (rest.startsWith('claims/')) return { kind: 'claim', unit: rest.slice(7) }
  if (rest.startsWith('assign/')) return { kind: 'assignment', unit: rest.slice(7) }
  if (rest.startsWith('members/')) return { kind: 'member', name: rest.slice(8) }
  return rest === 'planner' ? { kind: 'planner' } : { kind: 'other' }
}

/** All keys that begin with a text that ends with a slash. */
function below(start: string): KeyRange {
  const key = Buffer.from(start)
  return { key, rangeEnd: Buffer.concat([key.subarray(0, -1), Buffer.from([SLASH + 1])]) }
}
