/**
 * Gets pages from one API: credentials, redirects, rate limit, bounded retries. Credentials go to the
 * origin of `base` alone, whatever a link or redirect says, and into no message.
 */
import { backoffMs } from '../../../lib/backoff.ts'
import { HakiriError, isRetryable } from '../../../lib/error.ts'
import type { ConnectorContext } from '../../connector.ts'
import { answerError, judge } from './answer.ts'
import type { Auth, HttpConfig, Limits, Stream } from './config.ts'
import type { RateLimit } from './rate-limit.ts'
import { ENCODINGS, openConnections, placeOf, type Answer } from './request.ts'

const REDIRECTS_MAX = 5
const EXCERPT_CHARS = 200
const BASIC_HEADERS = {
  accept: 'application/json',
  'accept-encoding': ENCODINGS,
  'user-agent': 'hakiri',
}

/** One page to be had, and what to make of the answer. */
export type Ask<T> = {
  readonly url: URL
  readonly validators: Validators
  /** Status 404 is an answer too: nothing is there. */
  readonly absentAllowed: boolean
  readonly signal: AbortSignal
  /** Part of the attempt: what it throws is retried like any other failure of its code. */
  readonly read: (answer: Answer) => T
}

/** What an earlier answer said about its version. */
export type Validators = { readonly etag?: string; readonly lastModified?: string }

export type Client = {
  /** Origin and path of the API, without a slash at the end. */
  readonly base: string
  /** Query parameter that carries the credential, which must not be kept anywhere. */
  readonly secretParam: string | undefined
  get<T>(ask: Ask<T>): Promise<T>
  close(): void
}

export async function openClient(
  config: HttpConfig,
  stream: Stream,
  limits: Limits,
  rate: RateLimit,
  context: ConnectorContext,
): Promise<Client> {
  const base = await resolveBase(config, context)
  const credential = config.auth && (await resolveAuth(config.auth, context))
  const own = await resolveHeaders({ ...config.headers, ...stream.headers }, context)
  const secrets = [...(credential?.secrets ?? []), ...own.secrets]
  const connections = openConnections(limits.concurrency)

  async function exchange(ask: Omit<Ask<unknown>, 'read'>): Promise<Answer> {
    const { url, validators, signal } = ask
    let target = url
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      await rate.take(signal)
      await context.admit?.(signal)
      context.count('requests', 1)
      const trusted = target.origin === base.origin
      const answer = await connections.get(trusted ? withParam(target, credential) : target, {
        headers: {
          ...BASIC_HEADERS,
          ...(trusted ? { ...own.headers, ...credential?.headers } : {}),
          ...conditions(validators),
        },
        timeoutMs: config.timeoutMs,
        bodyBytesMax: config.bodyBytesMax,
        signal,
      })
      const verdict = judge(answer.status, answer.headers, context.clock.now())
      if (verdict.kind === 'ok' || verdict.kind === 'not-modified') return answer
      if (ask.absentAllowed && answer.status === 404) return answer
      if (verdict.kind === 'failed')
        throw answerError(verdict, answer.status, placeOf(target), excerptOf(answer, secrets))
      target = new URL(answer.headers.location ?? '', target)
    }
    throw new HakiriError(
      'SOURCE_FATAL',
      `${placeOf(url)} redirects more than ${REDIRECTS_MAX} times`,
    )
  }

  async function get<T>(ask: Ask<T>): Promise<T> {
    const { signal } = ask
    for (let attempt = 1; ; attempt++) {
      try {
        return ask.read(await exchange(ask))
      } catch (error) {
        signal.throwIfAborted()
        const waitMs = retryWait(error, attempt)
        if (waitMs === undefined) throw error
        context.count('retries', 1)
        if ((error as HakiriError).code === 'SOURCE_RATE') {
          rate.pause(waitMs)
          context.slowDown?.(waitMs)
        }
        await context.clock.sleep(waitMs, signal)
      }
    }
  }

  /** Undefined: not to be tried again here. */
  function retryWait(error: unknown, attempt: number): number | undefined {
    if (!isRetryable(error) || attempt > limits.retries.retriesMax) return undefined
    const askedMs = (error as HakiriError).retryAfterMs ?? 0
    if (askedMs > limits.waitMsMax) return undefined
    // Many workers get the same Retry-After: a little chance keeps them from returning together.
    return Math.max(
      backoffMs(limits.retries, attempt, context.random),
      askedMs * (1 + context.random.float() / 10),
    )
  }

  return {
    base: base.href.replace(/\/+$/, ''),
    secretParam: config.auth?.kind === 'query' ? config.auth.name : undefined,
    get,
    close: () => connections.close(),
  }
}

async function resolveBase(config: HttpConfig, context: ConnectorContext): Promise<URL> {
  const text = await context.resolve(config.base)
  const base = URL.canParse(text) ? new URL(text) : undefined
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new HakiriError('CONFIG_INVALID', 'the base of an http source is not an http(s) url', {
      suggestion: 'Write it like base = "https://api.example.com/v1".',
    })
  }
  if (base.username !== '' || base.password !== '' || base.search !== '') {
    throw new HakiriError(
      'CONFIG_INVALID',
      'the base of an http source holds credentials or a query',
      {
        suggestion: 'Put credentials into auth = { … } and parameters into query = { … }.',
      },
    )
  }
  return base
}

type Credential = {
  readonly headers: { readonly [name: string]: string }
  readonly param: readonly [name: string, value: string] | undefined
  readonly secrets: readonly string[]
}

async function resolveAuth(auth: Auth, context: ConnectorContext): Promise<Credential> {
  switch (auth.kind) {
    case 'bearer': {
      const token = await context.resolve(auth.token)
      return { headers: { authorization: `Bearer ${token}` }, param: undefined, secrets: [token] }
    }
    case 'basic': {
      const [name, password] = [
        await context.resolve(auth.username),
        await context.resolve(auth.password),
      ]
      const pair = Buffer.from(`${name}:${password}`, 'utf8').toString('base64')
      return {
        headers: { authorization: `Basic ${pair}` },
        param: undefined,
        secrets: [password, pair],
      }
    }
    case 'header': {
      const value = await context.resolve(auth.value)
      return { headers: { [auth.name.toLowerCase()]: value }, param: undefined, secrets: [value] }
    }
    case 'query': {
      const value = await context.resolve(auth.value)
      return { headers: {}, param: [auth.name, value], secrets: [value] }
    }
  }
}

async function resolveHeaders(
  references: { readonly [name: string]: string },
  context: ConnectorContext,
): Promise<{
  readonly headers: { readonly [name: string]: string }
  readonly secrets: readonly string[]
}> {
  const headers: { [name: string]: string } = {}
  const secrets: string[] = []
  for (const [name, reference] of Object.entries(references)) {
    const value = await context.resolve(reference)
    headers[name.toLowerCase()] = value
    if (value !== reference) secrets.push(value)
  }
  return { headers, secrets }
}

function withParam(url: URL, credential: Credential | undefined): URL {
  if (!credential?.param) return url
  const target = new URL(url)
  target.searchParams.set(...credential.param)
  return target
}

function conditions(validators: Validators): { readonly [name: string]: string } {
  return {
    ...(validators.etag === undefined ? {} : { 'if-none-match': validators.etag }),
    ...(validators.lastModified === undefined
      ? {}
      : { 'if-modified-since': validators.lastModified }),
  }
}

/** The first words of a refusal, for people; servers like to repeat what they were sent. */
function excerptOf(answer: Answer, secrets: readonly string[]): string {
  let text = answer.body
    .subarray(0, 4 * EXCERPT_CHARS)
    .toString('utf8')
    .replaceAll(/\s+/g, ' ')
    .trim()
  if (text.startsWith('<')) return ''
  for (const secret of secrets.filter((each) => each !== ''))
    text = text.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***')
  return text.slice(0, EXCERPT_CHARS)
}
