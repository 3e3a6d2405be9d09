/**
 * Who may ask what. A token is known by its hash alone; comparing takes the same time whatever is right
 * about it. Invariant: beyond loopback nothing is answered without a valid token; on loopback only while
 * the catalog has no token at all, not even one that is past its time.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Catalog } from '../../catalog/catalog.ts'
import type { ApiToken, TokenScope } from '../../catalog/cluster.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Clock } from '../../lib/ports.ts'
import type { Authorize, Verdict } from './ports.ts'

const RANK: Readonly<Record<TokenScope, number>> = { read: 0, operate: 1, admin: 2 }

/** Each scope allows what the ones before it allow: read, operate, admin. */
export function allows(has: TokenScope, wanted: TokenScope): boolean {
  return RANK[has] >= RANK[wanted]
}

/** As the catalog keeps it: SHA-256, hex. Tokens are random enough to need no salt. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** "localhost", 127.0.0.0/8 and ::1, with or without brackets. */
export function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|(::ffff:)?127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
}

/** Throws unless the API may be opened at this host: beyond loopback there must be a valid token. */
export function checkListen(host: string, tokens: readonly ApiToken[], now: number): void {
  if (isLoopbackHost(host) || tokens.some((token) => !isExpired(token, now))) return
  throw new HakiriError('API_TOKEN', `cannot listen on ${host}: there is no valid token`, {
    suggestion: 'Make one: `hakiri token create NAME --scope read`. Or listen on 127.0.0.1.',
  })
}

/** Tokens are looked up again after this long. */
const FRESH_MS = 3_000
/** While the catalog is away, what was known is used for this long. */
const STALE_MS_MAX = 3_600_000
/** A catalog that takes longer than this to answer is away. */
const WAIT_MS = 2_000

export type GateParts = {
  readonly catalog: Pick<Catalog, 'tokens'>
  readonly clock: Clock
  /** Whether only this machine can reach the port. */
  readonly isLoopback: boolean
}

/** Checks tokens against the catalog, which is asked every few seconds at the most. */
export function createTokenGate({ catalog, clock, isLoopback }: GateParts): Authorize {
  const known = createTokenCache(catalog, clock)
  return async (token) => {
    const tokens = await known()
    if (isLoopback && tokens.length === 0)
      return { kind: 'allowed', name: 'loopback', scope: 'admin' }
    return token === undefined
      ? { kind: 'refused', reason: 'missing' }
      : judge(token, tokens, clock.now())
  }
}

function judge(token: string, tokens: readonly ApiToken[], now: number): Verdict {
  const hash = Buffer.from(hashToken(token))
  // Every one is compared, so that the time tells nothing about which.
  const [found] = tokens.filter((each) => isEqual(Buffer.from(each.hash), hash))
  if (!found) return { kind: 'refused', reason: 'unknown' }
  if (isExpired(found, now)) return { kind: 'refused', reason: 'expired' }
  return { kind: 'allowed', name: found.name, scope: found.scope }
}

function isEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function isExpired({ expiresAt }: ApiToken, now: number): boolean {
  return expiresAt !== null && expiresAt <= now
}

type Tokens = { readonly at: number; readonly tokens: readonly ApiToken[] }

function createTokenCache(
  catalog: Pick<Catalog, 'tokens'>,
  clock: Clock,
): () => Promise<readonly ApiToken[]> {
  let last: Tokens | undefined
  let asking: Promise<Tokens> | undefined
  let askedAt = -Infinity
  const ask = async (): Promise<Tokens> => {
    askedAt = clock.monotonic()
    last = { at: askedAt, tokens: await catalog.tokens() }
    return last
  }
  const isKnown = (forMs: number): boolean =>
    last !== undefined && clock.monotonic() - last.at < forMs
  return async () => {
    // While the catalog is away, only one request in a while waits for it.
    const isRecent = clock.monotonic() - askedAt < FRESH_MS
    if (last && isRecent && isKnown(STALE_MS_MAX)) return last.tokens
    asking ??= ask().finally(() => (asking = undefined))
    try {
      return (await within(asking, clock)).tokens
    } catch (error) {
      if (last && isKnown(STALE_MS_MAX)) return last.tokens
      throw error
    }
  }
}

async function within<T>(work: Promise<T>, clock: Clock): Promise<T> {
  const done = new AbortController()
  const late = clock.sleep(WAIT_MS, done.signal).then(
    () => {
      throw new HakiriError('CATALOG_UNREACHABLE', 'the catalog did not tell the tokens in time')
    },
    () => work,
  )
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
  }
}
