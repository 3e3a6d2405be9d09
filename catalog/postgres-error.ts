/** What failures of Postgres, and of the way to it, mean for the people who run Hakiri. */
import { HakiriError } from '../lib/error.ts'

const SERIALIZATION_FAILURE = '40001'
const DEADLOCK = '40P01'
const LOCK_NOT_AVAILABLE = '55P03'

/** SQLSTATE classes and codes that say: the server is away, going, or full. */
const AWAY = /^(08|57P0[1-4]|53300|25P03)/
const PASSWORD = /^28/
const REFUSED: Readonly<Record<string, string>> = {
  '3D000': 'Create the database, or correct its name in the catalog URL.',
  '42501': 'Grant the user CREATE on the database, or create the schema for it.',
  '25006': 'Point the catalog URL at the primary server.',
}
const DISK_FULL = '53100'

/** Failures of the socket, of name lookup and of the driver's own timers have no SQLSTATE. */
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
])
const DRIVER_MESSAGE =
  /^(Connection terminated|timeout e|Query read timeout|Client has enc|The server does not)/

/** The error to end with when a transaction lost a race that running it again can win. */
export function asLostRace(error: unknown, label: string): HakiriError | undefined {
  const code = codeOf(error)
  return code === SERIALIZATION_FAILURE || code === DEADLOCK ? locked(error, label) : undefined
}

/** A failure of the server as a HakiriError; a bug, or an error of our own, passes unchanged. */
export function postgresError(error: unknown, label: string): unknown {
  if (!(error instanceof Error) || error instanceof HakiriError) return error
  const code = codeOf(error)
  if (code === LOCK_NOT_AVAILABLE) return locked(error, label)
  if (code === DISK_FULL) {
    return new HakiriError('DISK_FULL', `the server of ${label} has no space left`, {
      cause: error,
      suggestion: 'Free some space on the database server; nothing was half-written.',
    })
  }
  if (PASSWORD.test(code)) {
    return new HakiriError('CATALOG_AUTH', `${label} refuses the credentials: ${error.message}`, {
      cause: error,
      suggestion: 'Check the user and password in the catalog URL.',
    })
  }
  const advice = REFUSED[code]
  if (advice) {
    const message = `${label} refuses the request: ${error.message}`
    return new HakiriError('CATALOG_REFUSED', message, { cause: error, suggestion: advice })
  }
  return isAway(error, code) ? unreachable(error, label) : error
}

function isAway(error: Error, code: string): boolean {
  return SOCKET_CODES.has(code) || AWAY.test(code) || DRIVER_MESSAGE.test(error.message)
}

function unreachable(error: Error, label: string): HakiriError {
  // A host with several addresses fails with a list of errors and no message of its own.
  const reason = error.message || codeOf(error)
  return new HakiriError('CATALOG_UNREACHABLE', `${label} does not answer: ${reason}`, {
    cause: error,
    suggestion: 'Check that the server runs and that this machine may connect to it.',
  })
}

function locked(cause: unknown, label: string): HakiriError {
  return new HakiriError('CATALOG_LOCKED', `other processes hold what is needed in ${label}`, {
    cause,
    suggestion: 'Try again; if it stays so, look for a long transaction in the database.',
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
