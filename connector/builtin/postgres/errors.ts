/**
 * Failures of a Postgres server, of the network before it and of a url, as HakiriErrors.
 * Invariant: a message names host, database and table, never a user's password.
 */
import { HakiriError, toHakiriError, type Code } from '../../../lib/error.ts'
import { quoteName, tableLabel } from './names.ts'

/** Where a failure happened. */
type FailurePlace = {
  /** "db.example:5432/shop". */
  readonly server: string
  readonly table?: TableName | undefined
}

export type TableName = { readonly schema: string; readonly name: string }

/** A server's error message, whichever way it was read. */
export class ServerError extends Error {
  override readonly name = 'ServerError'
  readonly code: string
  readonly detail: string | undefined

  constructor(code: string, message: string, detail: string | undefined) {
    super(message)
    this.code = code
    this.detail = detail
  }
}

/** States of our own making: what the server sent is too large, or not what its protocol says. */
export const STATE_TOO_LARGE = '54000'
export const STATE_PROTOCOL = '08P01'

type Class = { readonly code: Code; readonly suggestion?: string }

const UNREACHABLE: Class = { code: 'SOURCE_UNREACHABLE' }
const AUTH: Class = {
  code: 'SOURCE_AUTH',
  suggestion: 'Check user and password of the url, and pg_hba.conf on the server.',
}
const CERTIFICATE: Class = {
  code: 'SOURCE_FATAL',
  suggestion: 'Name the certificate authority in the url: ?sslmode=verify-full&sslrootcert=/path.',
}

/** By SQLSTATE; the longest prefix wins. */
const BY_STATE: Readonly<Record<string, Class>> = {
  '08': UNREACHABLE,
  [STATE_PROTOCOL]: {
    code: 'SOURCE_FATAL',
    suggestion: 'Connect to PostgreSQL itself, without a translating proxy.',
  },
  '22': { code: 'SOURCE_DATA' },
  '25P03': UNREACHABLE,
  '25P04': UNREACHABLE,
  '28': AUTH,
  '3D000': { code: 'SOURCE_FATAL', suggestion: 'Check the database name at the end of the url.' },
  '40': UNREACHABLE,
  '42501': { code: 'SOURCE_AUTH' },
  '42703': { code: 'SOURCE_CHANGED' },
  '42P01': { code: 'SOURCE_CHANGED' },
  '53': UNREACHABLE,
  '54': { code: 'SOURCE_DATA', suggestion: 'Exclude the column that holds the large value.' },
  '55P03': {
    code: 'SOURCE_UNREACHABLE',
    suggestion: 'Another session holds a lock on the table; see pg_locks on the server.',
  },
  '57014': UNREACHABLE,
  '57P': UNREACHABLE,
  '58': UNREACHABLE,
  '72': UNREACHABLE,
  XX001: { code: 'SOURCE_DATA' },
  XX002: { code: 'SOURCE_DATA' },
}

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
])

/** Gives a failure of pg, of the wire or of the network its code. */
export function toSourceError(error: unknown, place: FailurePlace): HakiriError {
  if (error instanceof HakiriError) return error
  const state = stateOf(error)
  const text = textOf(error)
  const { table } = place
  const where = table ? `${place.server}, ${tableLabel(table.schema, table.name)}` : place.server
  const facts = classOf(state, text)
  if (!facts) return toHakiriError(error, 'SOURCE_FATAL', where)
  const suggestion =
    state === '42501' && table ? `Run on the server: ${grant(table)}` : facts.suggestion
  return new HakiriError(facts.code, `${where}: ${text}${state ? ` (${state})` : ''}`, {
    cause: error,
    ...(suggestion ? { suggestion } : {}),
  })
}

/** True when the server cannot read or compute a value (class 22). */
export function isDataError(error: unknown): boolean {
  return stateOf(error).startsWith('22')
}

/** The statements that let a role read a table. */
export function grant(table: TableName, role?: string): string {
  const to = role === undefined ? '<user>' : quoteName(role)
  const schema = quoteName(table.schema)
  return (
    `GRANT USAGE ON SCHEMA ${schema} TO ${to}; ` +
    `GRANT SELECT ON ${schema}.${quoteName(table.name)} TO ${to};`
  )
}

function classOf(state: string, text: string): Class | undefined {
  for (let length = state.length; length >= 2; length--) {
    const found = BY_STATE[state.slice(0, length)]
    if (found) return found
  }
  if (NETWORK.has(state) || /terminated|timeout expired|cut/i.test(text)) return UNREACHABLE
  if (/SASL|password/i.test(text)) return AUTH
  if (/CERT|SELF_SIGNED|SIGNATURE/.test(state)) return CERTIFICATE
  if (/SSL/.test(text)) {
    return { code: 'SOURCE_FATAL', suggestion: 'Check sslmode in the url against the server.' }
  }
  return undefined
}

function stateOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const parts = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [error]
  const messages = parts.map((part) => (part instanceof Error ? part.message : String(part)))
  const detail = 'detail' in error && typeof error.detail === 'string' ? ` ${error.detail}` : ''
  return (error.message || messages.join('; ')) + detail
}
