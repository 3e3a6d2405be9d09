/** `hakiri token create|list|revoke`: who may use the HTTP API. The catalog keeps a hash of each. */
import { randomBytes } from 'node:crypto'
import type { ApiToken, TokenScope } from '../../catalog/cluster.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { suggestWord } from '../../manifest/words.ts'
import { hashToken } from '../../worker/http/access.ts'
import { notFound } from '../../worker/names.ts'
import { openClusterCatalog, whoAsks } from '../cluster.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { ago, isoTime } from '../time.ts'
import { durationOption } from './drain.ts'

const SCOPES: readonly TokenScope[] = ['read', 'operate', 'admin']
const NAME = /^[a-z][a-z0-9_-]{0,62}$/
const TOKEN_BYTES = 32

export const tokenCreate: CommandRun = async ({ args, options, globals }, io) => {
  const name = nameArgument(String(args[0]))
  const scope = scopeOption(options['scope'] as string | undefined)
  const lasts = options['expires'] as string | undefined
  const expiresAt =
    lasts === undefined ? null : systemClock.now() + durationOption(lasts, '--expires')
  await using catalog = await openClusterCatalog(globals, io)
  const token = `hk_${randomBytes(TOKEN_BYTES).toString('base64url')}`
  const hash = hashToken(token)
  const created = await catalog.createToken({ name, scope, hash, createdBy: whoAsks(), expiresAt })
  if (!created)
    throw new HakiriError('USAGE', `there is a token ${name} already`, {
      suggestion: `Choose another name, or \`hakiri token revoke ${name}\` first.`,
    })
  io.data(`${token}\n`)
  return {
    result: { name, scope, expiresAt, token },
    summary: `✓ ${name} may ${scope}; the token is shown only now`,
  }
}

export const tokenList: CommandRun = async ({ globals }, io) => {
  await using catalog = await openClusterCatalog(globals, io)
  const tokens = (await catalog.tokens()).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return {
    result: tokens.map(tokenJson),
    summary:
      tokens.length === 0
        ? 'no tokens: the HTTP API answers on loopback only; next: hakiri token create NAME --scope read'
        : `${tokens.length} token(s)`,
    text:
      tokens.length === 0
        ? ''
        : formatTable(
            ['token', 'scope', 'created', 'by', 'expires'],
            tokens.map((token) => [
              token.name,
              token.scope,
              ago(token.createdAt),
              token.createdBy,
              expiryText(token),
            ]),
          ),
  }
}

export const tokenRevoke: CommandRun = async ({ args, globals }, io) => {
  const name = String(args[0])
  await using catalog = await openClusterCatalog(globals, io)
  if (!(await catalog.revokeToken(name))) {
    const names = (await catalog.tokens()).map((token) => token.name)
    throw notFound('token', name, names, '`hakiri token list` lists them.')
  }
  return { result: { name }, summary: `✓ ${name} opens nothing any more, in a few seconds` }
}

function nameArgument(name: string): string {
  if (NAME.test(name)) return name
  throw new HakiriError('USAGE', `"${name}" is no good name for a token`, {
    suggestion: 'Use a-z, 0-9, - and _, starting with a letter, at most 63 characters.',
  })
}

function scopeOption(text = 'read'): TokenScope {
  const scope = SCOPES.find((each) => each === text)
  if (scope) return scope
  const suggestion = suggestWord(text, SCOPES)
  throw new HakiriError('USAGE', `no scope ${text}`, suggestion === undefined ? {} : { suggestion })
}

function expiryText({ expiresAt }: ApiToken): string {
  if (expiresAt === null) return 'never'
  return expiresAt <= systemClock.now() ? `expired ${ago(expiresAt)}` : isoTime(expiresAt)
}

function tokenJson({ name, scope, createdAt, createdBy, expiresAt }: ApiToken): Json {
  return { name, scope, createdAt, createdBy, expiresAt }
}
