/**
 * Resolves references to secrets, as late as possible, and hides what was resolved from any text.
 * Invariant: a resolved value leaves this file only as the answer of `resolve`; no message holds one.
 *
 * `env:NAME` an environment variable; `file:PATH` the text of a file without its last newline;
 * `secret://name` the OS keychain (service "hakiri"), else NAME in `.env`. A trailing `?` on `env:NAME?`
 * gives "" instead of an error. Any other text is itself.
 */
import { readFile as readFileFromDisk } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve as resolvePath } from 'node:path'
import { parseEnv } from 'node:util'
import { HakiriError } from '../lib/error.ts'
import { systemKeychain, type Keychain } from './keychain.ts'
import { createRedactor } from './redact.ts'

export type ResolverOptions = {
  readonly env: { readonly [name: string]: string | undefined }
  /** Where relative `file:` paths start. */
  readonly baseFolder: string
  readonly readFile?: (path: string) => Promise<string>
  readonly keychain?: Keychain
  /** Default: `.env` in the base folder. */
  readonly dotEnvFile?: string
}

export type Resolver = {
  /** The value behind a reference; SECRET_MISSING when there is none. */
  resolve(reference: string): Promise<string>
  /** The text with every value resolved so far (4 characters or more) replaced by `***`. */
  redact(text: string): string
}

export function createResolver(options: ResolverOptions): Resolver {
  const redactor = createRedactor()
  const lookUp = createLookUp(options)
  const known = new Map<string, Promise<string>>()

  async function remember(reference: string): Promise<string> {
    const value = await lookUp(reference)
    if (value !== reference) redactor.hide(value)
    redactor.hidePassword(value)
    return value
  }
  return {
    resolve(reference) {
      const earlier = known.get(reference)
      if (earlier) return earlier
      const value = remember(reference)
      known.set(reference, value)
      value.catch(() => known.delete(reference))
      return value
    },
    redact: (text) => redactor.redact(text),
  }
}

function createLookUp(options: ResolverOptions): (reference: string) => Promise<string> {
  const readFile = options.readFile ?? ((path: string) => readFileFromDisk(path, 'utf8'))
  const dotEnvFile = options.dotEnvFile ?? join(options.baseFolder, '.env')
  const sources: Sources = {
    env: options.env,
    keychain: options.keychain ?? systemKeychain,
    dotEnvFile,
    dotEnv: () => readFile(dotEnvFile).then(parseEnv, () => ({})),
  }
  return async (reference) => {
    const env = /^env:(.*?)(\??)$/s.exec(reference)
    if (env) return fromEnv(sources, env[1]!, env[2] === '?')
    const secret = /^secret:\/\/(.*)$/s.exec(reference)
    if (secret) return fromKeychain(sources, secret[1]!)
    const file = /^file:(.*)$/s.exec(reference)
    return file ? fromFile(file[1]!, options.baseFolder, readFile) : reference
  }
}

type Sources = {
  readonly env: ResolverOptions['env']
  readonly keychain: Keychain
  readonly dotEnvFile: string
  /** Empty when the file cannot be read. */
  readonly dotEnv: () => Promise<{ readonly [name: string]: string | undefined }>
}

async function fromEnv(sources: Sources, name: string, isOptional: boolean): Promise<string> {
  const value = sources.env[name]
  if (value !== undefined && value !== '') return value
  if (isOptional) return ''
  const isInFile = (await sources.dotEnv())[name] !== undefined
  const state = value === '' ? 'is empty' : 'is not set'
  const suggestion = isInFile
    ? `${sources.dotEnvFile} has it: write "secret://${name}", or export it.`
    : `Set it: export ${name}=…`
  throw new HakiriError('SECRET_MISSING', `the environment variable ${name} ${state}`, {
    suggestion,
  })
}

/** A keychain that is missing, locked or broken is one that does not know the name. */
async function fromKeychain(sources: Sources, name: string): Promise<string> {
  const stored = await sources.keychain(name).catch(() => undefined)
  if (stored !== undefined) return stored
  const dotEnv = await sources.dotEnv()
  const variable = name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')
  const value = dotEnv[name] ?? dotEnv[variable]
  if (value !== undefined && value !== '') return value
  throw new HakiriError(
    'SECRET_MISSING',
    `the secret "${name}" is neither in the keychain (service "hakiri") nor in ${sources.dotEnvFile}`,
    { suggestion: `Add ${variable}=… to ${sources.dotEnvFile}, or store it in the keychain.` },
  )
}

async function fromFile(
  path: string,
  baseFolder: string,
  readFile: (path: string) => Promise<string>,
): Promise<string> {
  const expanded = path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
  const full = resolvePath(baseFolder, expanded)
  const text = await readFile(full).catch((cause: unknown) => {
    const message = `the secret file ${full} cannot be read`
    const suggestion = 'Make it, or let this user read it.'
    throw new HakiriError('SECRET_MISSING', message, { suggestion, cause })
  })
  const value = text.replace(/\r?\n$/, '')
  if (value !== '') return value
  const suggestion = 'Write the secret into it.'
  throw new HakiriError('SECRET_MISSING', `the secret file ${full} is empty`, { suggestion })
}
