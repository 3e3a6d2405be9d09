/** References: where they are looked up, what is said when they are missing, and what is hidden. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { HakiriError } from '../lib/error.ts'
import type { Keychain } from './keychain.ts'
import { createResolver, type Resolver, type ResolverOptions } from './secrets.ts'

const EMPTY: Keychain = async () => undefined

function resolver(options: Partial<ResolverOptions> = {}): Resolver {
  const readFile = async (path: string): Promise<string> => {
    throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
  }
  return createResolver({ env: {}, baseFolder: '/base', keychain: EMPTY, readFile, ...options })
}

const file = (path: string, text: string) => ({
  readFile: async (asked: string): Promise<string> => {
    if (asked !== path) throw Object.assign(new Error('none'), { code: 'ENOENT' })
    return text
  },
})

test('text that is no reference is itself', async (t) => {
  for (const text of ['', 'postgres://u@h/db', 's3://bucket/x', 'environment', 'C:\\lake']) {
    t.is(await resolver().resolve(text), text)
  }
})

test('env: reads the environment, as it stands there', async (t) => {
  const one = resolver({ env: { A: 'env:B ${C} $D\n' } })
  t.is(await one.resolve('env:A'), 'env:B ${C} $D\n')
})

test('a variable that is not set, or empty, is SECRET_MISSING', async (t) => {
  for (const env of [{}, { NAME: '' }]) {
    const error = await t.throwsAsync(resolver({ env }).resolve('env:NAME'), {
      instanceOf: HakiriError,
    })
    t.like(error, { code: 'SECRET_MISSING', suggestion: 'Set it: export NAME=…' })
    t.regex(error?.message ?? '', /NAME is (not set|empty)/)
  }
})

test('a variable that only .env has is missing, with the hint to ask for secret://', async (t) => {
  const one = resolver(file('/base/.env', 'NAME=value\n'))
  const error = await t.throwsAsync(one.resolve('env:NAME'), { instanceOf: HakiriError })
  t.regex(error?.suggestion ?? '', /secret:\/\/NAME/)
  t.false(JSON.stringify([error?.message, error?.suggestion]).includes('value'))
})

test('an optional variable is empty text when it is not set', async (t) => {
  t.is(await resolver().resolve('env:NAME?'), '')
  t.is(await resolver({ env: { NAME: 'x' } }).resolve('env:NAME?'), 'x')
})

test('file: reads from the base folder and cuts one newline', async (t) => {
  t.is(await resolver(file('/base/run/token', 'abcd\n')).resolve('file:run/token'), 'abcd')
  t.is(await resolver(file('/etc/token', 'abcd\r\n')).resolve('file:/etc/token'), 'abcd')
  t.is(await resolver(file('/base/t', 'a\n\n')).resolve('file:t'), 'a\n')
})

test('a secret file that is missing or empty is SECRET_MISSING with its full path', async (t) => {
  const missing = await t.throwsAsync(resolver().resolve('file:token'), { instanceOf: HakiriError })
  t.like(missing, { code: 'SECRET_MISSING' })
  t.regex(missing?.message ?? '', /\/base\/token cannot be read/)
  const empty = resolver(file('/base/token', '\n')).resolve('file:token')
  await t.throwsAsync(empty, { message: /\/base\/token is empty/ })
})

test('secret:// prefers the keychain, then .env by name and by variable name', async (t) => {
  const dotEnv = file('/base/.env', 'plain=one\nSHOP_API_KEY="two words" # why\n')
  const keychain: Keychain = async (name) => (name === 'stored' ? 'kept' : undefined)
  const one = resolver({ ...dotEnv, keychain })
  t.is(await one.resolve('secret://stored'), 'kept')
  t.is(await one.resolve('secret://plain'), 'one')
  t.is(await one.resolve('secret://shop/api-key'), 'two words')
})

test('a keychain that breaks is passed over without a word', async (t) => {
  const keychain: Keychain = () => Promise.reject(new Error('no bus'))
  const one = resolver({ ...file('/base/.env', 'A=from-file'), keychain })
  t.is(await one.resolve('secret://a'), 'from-file')
})

test('a secret that is nowhere is SECRET_MISSING, saying where it was looked for', async (t) => {
  const error = await t.throwsAsync(
    resolver({ dotEnvFile: '/x/.env' }).resolve('secret://shop-key'),
    {
      instanceOf: HakiriError,
    },
  )
  t.like(error, { code: 'SECRET_MISSING' })
  t.regex(error?.message ?? '', /keychain .*\/x\/\.env/)
  t.regex(error?.suggestion ?? '', /SHOP_KEY=… to \/x\/\.env/)
})

test("this machine's own keychain and .env answer, or say that they do not", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-secrets-'))
  try {
    await writeFile(join(folder, '.env'), 'HAKIRI_TEST_ONLY=found-in-file\n')
    const one = createResolver({ env: {}, baseFolder: folder })
    t.is(await one.resolve('secret://hakiri-test-only'), 'found-in-file')
    await t.throwsAsync(one.resolve('secret://hakiri-test-none'), { instanceOf: HakiriError })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a value is looked up once, a failure is looked up again', async (t) => {
  let asked = 0
  const keychain: Keychain = async () => (++asked === 1 ? undefined : 'there')
  const one = resolver({ keychain })
  await t.throwsAsync(one.resolve('secret://a'))
  t.is(await one.resolve('secret://a'), 'there')
  t.is(await one.resolve('secret://a'), 'there')
  t.is(asked, 2)
})

test('what was resolved is hidden as it is, in JSON and in addresses', async (t) => {
  const value = 'p@ss "wörd"/+?'
  const one = resolver({ env: { A: value } })
  t.is(one.redact(`before ${value}`), `before ${value}`)
  await one.resolve('env:A')
  const text = [value, JSON.stringify({ value }), encodeURIComponent(value)].join(' | ')
  const form = new URLSearchParams({ q: value }).toString()
  t.is(one.redact(`${text} | ${form}`), '*** | {"value":"***"} | *** | q=***')
})

test('values under four characters are left, or every text would be stars', async (t) => {
  const one = resolver({ env: { A: 'abc', B: 'abcd' } })
  await one.resolve('env:A')
  await one.resolve('env:B')
  t.is(one.redact('abc abcd'), 'abc ***')
})

test('the password of an address is hidden alone too, however it is spelt', async (t) => {
  const one = resolver({ env: { A: 'postgres://user:s%40cret-1@host:5432/db?x=a@b' } })
  await one.resolve('env:A')
  t.is(
    one.redact('login with s@cret-1 or s%40cret-1 failed at host'),
    'login with *** or *** failed at host',
  )
  const keyword = resolver({ env: { A: "host=h password='two words' user=u" } })
  await keyword.resolve('env:A')
  t.is(keyword.redact('two words'), '***')
  const query = resolver({ env: { A: 'postgres://h/db?user=u&password=query-secret' } })
  await query.resolve('env:A')
  t.is(query.redact('query-secret'), '***')
})

test('a literal address is not hidden, but a password in it is', async (t) => {
  const one = resolver()
  await one.resolve('postgres://u:hunter22@h/db')
  t.is(one.redact('postgres://u:hunter22@h/db'), 'postgres://u:***@h/db')
})

test('the longer of two secrets is hidden first, so that no tail of it shows', async (t) => {
  const one = resolver({ env: { A: 'abcd', B: 'abcd-efgh' } })
  await one.resolve('env:A')
  await one.resolve('env:B')
  t.is(one.redact('abcd-efgh'), '***')
})

test('no resolved value is ever seen in redacted text', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 4 }),
      fc.string(),
      fc.string(),
      async (value, before, after) => {
        const one = resolver({ env: { A: value } })
        await one.resolve('env:A')
        const texts = [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)]
        for (const text of texts) {
          const shown = one.redact(`${before}${text}${after}`)
          t.false(
            shown.replaceAll('***', '').includes(text) && !`${before}${after}`.includes(text),
            shown,
          )
        }
      },
    ),
  )
})
