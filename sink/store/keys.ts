/**
 * Which keys a store takes. The rules are the same for every adapter, so that a table written to a
 * folder can be copied to a bucket and back. Writing is strict; reading also takes foreign keys.
 * `%` stands only before two upper-case hex digits, as in `country=a%2Fb`; to a store it is a character
 * like any other, and nothing here decodes it.
 * Invariant: an accepted key, joined to a root folder, stays below that folder.
 */
import { HakiriError } from '../../lib/error.ts'

/** Folder under the root for files that are not finished; never listed, never a legal key. */
export const TEMPORARY_FOLDER = '_tmp'
/** S3 allows 1024 bytes for prefix and key together. */
export const KEY_LENGTH_MAX = 900
/** The longest name that common file systems take. */
export const SEGMENT_LENGTH_MAX = 255

/** Throws STORE_REFUSED unless `key` may be written or deleted. */
export function checkWriteKey(key: string): void {
  checkReadKey(key)
  if (!/^(?:[A-Za-z0-9._=/-]|%[0-9A-F]{2})+$/.test(key))
    refuse(key, 'only A-Z a-z 0-9 . _ = - / and %XX are allowed')
  // Something on the way that decodes once too often must not find a way up.
  if (key.split('/').some((part) => /^(?:\.|%2E){1,2}$/.test(part)))
    refuse(key, 'a part of it is . or .. once it is decoded')
  if (key.length > KEY_LENGTH_MAX) refuse(key, `it is longer than ${KEY_LENGTH_MAX} characters`)
  if (key.split('/').some((segment) => segment.length > SEGMENT_LENGTH_MAX))
    refuse(key, `a part of it is longer than ${SEGMENT_LENGTH_MAX} characters`)
}

/** Throws STORE_REFUSED unless `key` is relative, plain and outside the temporary folder. */
export function checkReadKey(key: string): void {
  const segments = key.split('/')
  if (segments.includes('')) refuse(key, 'it is empty or has an empty part')
  if (segments.includes('.') || segments.includes('..')) refuse(key, '. and .. are not allowed')
  if (key.includes('\0')) refuse(key, 'it holds a zero byte')
  if (segments[0] === TEMPORARY_FOLDER) refuse(key, `${TEMPORARY_FOLDER}/ is reserved`)
}

/** Throws STORE_REFUSED unless `prefix` can be the beginning of a readable key. */
export function checkPrefix(prefix: string): void {
  const parents = prefix.split('/').slice(0, -1)
  if (prefix.startsWith('/') || parents.some((part) => ['', '.', '..'].includes(part)))
    refuse(prefix, 'a prefix is relative and has no empty part, . or ..')
  if (prefix.includes('\0')) refuse(prefix, 'it holds a zero byte')
}

function refuse(key: string, why: string): never {
  const shown = key.length > 120 ? `${key.slice(0, 120)}…` : key
  throw new HakiriError(
    'STORE_REFUSED',
    `${JSON.stringify(shown)} is no valid object key: ${why}`,
    {
      suggestion: 'Rename the table or partition that the key is made of.',
    },
  )
}
