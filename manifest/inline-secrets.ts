/**
 * Finds secrets that stand in a manifest as plain text, and references that are misspelt. Invariant: no
 * message here repeats the text that it complains about.
 */
import type { Document, Value } from './document.ts'
import { isObject } from './document.ts'
import { problemAt, type Path, type Problem, type ProblemText } from './problem.ts'

const SECRET_KEYS =
  /^(token|password|passwd|secret|secret_?key|secret_access_key|access_key_id|session_token|api_?key)$/i
const SECRET_NAMES =
  /(^|[-_])(authorization|cookie|token|secret|password|passwd|signature|(api|access|private|auth)[-_]?key|apikey)$/i
const REFERENCE_KEYS = /^(url|base|endpoint|username|value|credentials)$/
const URL_PASSWORD = /^[a-z][\w+.-]*:\/\/[^/?#\s:]*:[^/?#\s]+@/i
const QUERY_SECRET =
  /[?&](password|sslpassword|passwd|pwd|(access_|auth_)?token|(api|access)_?key|secret|sig|signature)=[^&]/i
const KEYWORD_PASSWORD = /(^|\s)password\s*=\s*\S/i
const WEBHOOK = /^https:\/\/hooks\.slack\.com\/services\//i

/** `env:NAME`, `file:PATH` or `secret://name`. */
export const REFERENCE = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|secret:\/\/[A-Za-z0-9._/-]+)$/

/** True where only a reference may stand: `token`, `auth.value`, a header called Authorization. */
export function isSecretPath(path: Path): boolean {
  const key = String(path.at(-1) ?? '')
  const parent = String(path.at(-2) ?? '')
  if (parent === 'auth' && key === 'value') return true
  if (parent === 'headers' || parent === 'query') return SECRET_NAMES.test(key)
  return SECRET_KEYS.test(key) || key === 'credentials'
}

/** Every inline secret and every misspelt reference of a document. */
export function findInlineSecrets(document: Document): Problem[] {
  return strings(document.value, []).flatMap(({ path, text }) => {
    const found = complaint(path, text)
    if (!found) return []
    const at = document.valueAt(path)
    return [problemAt(document.file, at, path, found.code, found)]
  })
}

type Found = { readonly path: Path; readonly text: string }

function strings(value: Value, path: Path): Found[] {
  if (typeof value === 'string') return [{ path, text: value }]
  if (Array.isArray(value)) return value.flatMap((one, index) => strings(one, [...path, index]))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, inner]) => strings(inner, [...path, key]))
}

type Complaint = ProblemText & Pick<Problem, 'code'>

function complaint(path: Path, text: string): Complaint | undefined {
  if (isMapped(path)) return undefined
  if (REFERENCE.test(text)) return undefined
  const key = String(path.at(-1) ?? '')
  const isSecret = isSecretPath(path) && key !== 'credentials'
  const mayRefer = isSecret || REFERENCE_KEYS.test(key) || path.at(-2) === 'headers'
  const misspelt = mayRefer ? misspeltReference(text) : undefined
  if (misspelt) return { code: 'CONFIG_INVALID', ...misspelt }
  if (isSecret && text !== '') {
    return {
      code: 'CONFIG_SECRET',
      message: 'a secret stands here as plain text',
      suggestion: move(key),
    }
  }
  const reason = secretWithin(key, text)
  if (reason === undefined) return undefined
  return { code: 'CONFIG_SECRET', message: reason, suggestion: move(key) }
}

/** Column names and the like may be called "token"; what they map to is no secret. */
function isMapped(path: Path): boolean {
  return path
    .slice(0, -1)
    .some((part) => part === 'types' || part === 'placement' || part === 'labels')
}

function secretWithin(key: string, text: string): string | undefined {
  if (URL_PASSWORD.test(text)) return 'the address holds a password as plain text'
  const isAddress = text.includes('://') || key === 'path'
  if (isAddress && QUERY_SECRET.test(text)) return 'the address holds a secret as plain text'
  if (key === 'url' && KEYWORD_PASSWORD.test(text))
    return 'the address holds a password as plain text'
  if (WEBHOOK.test(text)) return 'the address is itself a secret'
  return undefined
}

function misspeltReference(text: string): ProblemText | undefined {
  const variable = /^\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?$/.exec(text)?.[1]
  if (variable) {
    return { message: 'variables are not filled in', suggestion: `Write "env:${variable}".` }
  }
  if (/^env:/i.test(text) || /^file:$/i.test(text) || /^secrets?:/i.test(text)) {
    const suggestion = 'Write env:NAME (letters, digits, _), file:PATH or secret://name.'
    return { message: 'the reference is not well formed', suggestion }
  }
  return undefined
}

function move(key: string): string {
  // A stream's path is no reference; what it must carry belongs into auth.
  if (key === 'path') return 'Use auth = { type = "query", name = "…", value = "env:NAME" }.'
  const name = /^[a-z_]+$/i.test(key) ? key.toUpperCase() : 'NAME'
  return `Move it to the environment, a file or the keychain, and write "env:${name}", "file:PATH" or "secret://name".`
}
