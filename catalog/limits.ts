/**
 * What the cluster shares in small numbers: tokens of rate limits, and the tokens of the HTTP API.
 *
 * A bucket is one number, the time at which it is full again if nobody takes any: taking a token moves
 * it one interval on (the generic cell rate algorithm of ITU-T I.371). It never moves back, so whatever
 * clocks and limits do, no more than `burst + perSecond × t` tokens are given in a time t.
 */
import { assert } from '../lib/assert.ts'
import type { ApiToken, ClusterCatalog, RateLimit, TokenGrant } from './cluster.ts'
import {
  type CatalogDeps,
  type Engine,
  numberOf,
  numberOrNull,
  type Row,
  type Sql,
  textOf,
} from './sql.ts'

type LimitMethods = Pick<ClusterCatalog, 'takeTokens' | 'createToken' | 'tokens' | 'revokeToken'>

const SECOND_MICROS = 1_000_000
const MS_MICROS = 1_000

export function limitMethods(engine: Engine, deps: CatalogDeps): LimitMethods {
  return {
    takeTokens: (bucket, want, limit) => {
      assert(limit.perSecond > 0 && limit.burst >= 1 && want >= 1, 'a limit lets nothing through')
      return engine.write((sql) => take(sql, bucket, want, limit))
    },
    createToken: (token) => engine.write((sql) => createToken(sql, deps, token)),
    tokens: () =>
      engine.read(async (sql) =>
        (await sql.rows('select * from api_token order by name')).map(toToken),
      ),
    revokeToken: (name) =>
      engine.write(
        async (sql) => (await sql.run('delete from api_token where name = ?', name)) > 0,
      ),
  }
}

async function take(sql: Sql, bucket: string, want: number, limit: RateLimit): Promise<TokenGrant> {
  // Holds the bucket before the time is read: time may not stand still while we wait for others.
  const [row] = await sql.rows(
    `insert into rate_bucket (name, full_at) values (?, 0)
     on conflict (name) do update set name = excluded.name returning full_at`,
    bucket,
  )
  const { grant, fullAt } = grantTokens(
    numberOf(row!, 'full_at'),
    await sql.nowMicros(),
    want,
    limit,
  )
  if (grant.granted > 0) {
    await sql.run('update rate_bucket set full_at = ? where name = ?', fullAt, bucket)
  }
  return grant
}

/** Pure: what a bucket that is full at `fullAt` gives at `now`; both in microseconds. */
export function grantTokens(
  fullAt: number,
  now: number,
  want: number,
  { perSecond, burst }: RateLimit,
): { readonly grant: TokenGrant; readonly fullAt: number } {
  const interval = SECOND_MICROS / perSecond
  const start = Math.max(fullAt, now)
  const missing = (start - now) / interval
  const granted = Math.max(0, Math.min(Math.floor(want), Math.floor(burst - missing)))
  if (granted > 0) {
    return { grant: { granted, waitMs: 0 }, fullAt: start + Math.ceil(granted * interval) }
  }
  const waitMicros = (missing - (burst - 1)) * interval
  return { grant: { granted, waitMs: Math.max(1, Math.ceil(waitMicros / MS_MICROS)) }, fullAt }
}

async function createToken(
  sql: Sql,
  deps: CatalogDeps,
  token: Omit<ApiToken, 'createdAt'>,
): Promise<boolean> {
  const created = await sql.run(
    `insert into api_token (name, scope, hash, created_at, created_by, expires_at)
     values (?, ?, ?, ?, ?, ?) on conflict (name) do nothing`,
    token.name,
    token.scope,
    token.hash,
    deps.clock.now(),
    token.createdBy,
    token.expiresAt,
  )
  return created > 0
}

function toToken(row: Row): ApiToken {
  return {
    name: textOf(row, 'name'),
    scope: textOf(row, 'scope') as ApiToken['scope'],
    hash: textOf(row, 'hash'),
    createdAt: numberOf(row, 'created_at'),
    createdBy: textOf(row, 'created_by'),
    expiresAt: numberOrNull(row, 'expires_at'),
  }
}
