/**
 * Writing only where nothing is, on stores that honour `If-None-Match: *`, ignore it or refuse it.
 * An unclear outcome is settled by the bytes: if the taken key holds ours, we created it.
 */
import type { S3Client } from './s3-client.ts'
import { getObject, headObject, putObject } from './s3-objects.ts'
import type { PutOutcome, StoreProbe } from './store.ts'

/** What is known of this store so far; only 'honoured' makes looking first unnecessary. */
export type ConditionalSupport = StoreProbe['conditionalPut'] | 'unknown'

export type Conditional = {
  putIfAbsent(key: string, body: Uint8Array): Promise<PutOutcome>
  /** Writes twice under the condition and says what the store made of it. The key is left behind. */
  test(key: string): Promise<StoreProbe['conditionalPut']>
}

/** Answers of stores that do not know the header. */
const REFUSALS = new Set(['NotImplemented', 'InvalidArgument', 'InvalidRequest', 'NotSupported'])

type Raw = { readonly kind: PutOutcome | 'refused'; readonly isAmbiguous: boolean }

export function createConditional(client: S3Client): Conditional {
  let support: ConditionalSupport = 'unknown'
  const raw = async (key: string, body: Uint8Array): Promise<Raw> => {
    const outcome = await putRaw(client, key, body)
    if (outcome.kind === 'refused') support = 'refused'
    if (outcome.kind === 'exists') support = 'honoured'
    return outcome
  }
  return {
    async putIfAbsent(key, body) {
      if (support !== 'honoured' && (await headObject(client, key))) return 'exists'
      if (support === 'refused') return plainPut(client, key, body)
      const { kind, isAmbiguous } = await raw(key, body)
      if (kind === 'refused') return plainPut(client, key, body)
      if (kind === 'exists' && isAmbiguous && (await holds(client, key, body))) return 'created'
      return kind
    },
    async test(key) {
      const first = await raw(key, new Uint8Array([1]))
      if (first.kind === 'refused') return 'refused'
      const second = await raw(key, new Uint8Array([2]))
      support = second.kind === 'exists' ? 'honoured' : 'ignored'
      return support
    },
  }
}

async function plainPut(client: S3Client, key: string, body: Uint8Array): Promise<PutOutcome> {
  await putObject(client, key, body)
  return 'created'
}

async function putRaw(client: S3Client, key: string, body: Uint8Array): Promise<Raw> {
  const answer = await client.send({
    method: 'PUT',
    verb: 'write',
    key,
    body,
    headers: { 'if-none-match': '*' },
    accept: (status, code) => status === 412 || status === 501 || REFUSALS.has(code),
  })
  const { isAmbiguous } = answer
  if (answer.status === 412) return { kind: 'exists', isAmbiguous }
  if (answer.status < 300) return { kind: 'created', isAmbiguous }
  return { kind: 'refused', isAmbiguous }
}

async function holds(client: S3Client, key: string, body: Uint8Array): Promise<boolean> {
  const present = await getObject(client, key)
  return present !== undefined && Buffer.compare(present, body) === 0
}
