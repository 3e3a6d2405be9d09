/**
 * The reference store's own shapes: keys and values as binary strings, so that they compare like bytes
 * and serve as map keys. Nothing here is shared with the store that is checked.
 */
import type { KvErrorCode, KvEvent, KeyValue } from '../../../coord/kv/types.ts'

export type ModelKv = {
  readonly key: string
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
  readonly lease: bigint
}
/** One change of one key; `now` undefined for a deletion. */
export type ModelEvent = {
  readonly key: string
  readonly revision: number
  readonly now: ModelKv | undefined
  readonly before: ModelKv | undefined
}

/** What a command did: the texts are what `answerText` makes of the same answer. */
export type ModelOutcome =
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'refused'; readonly error: KvErrorCode }
export type ModelRecord = {
  readonly index: number
  readonly revision: number
  readonly outcome: ModelOutcome
}

export const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
export const bytesOf = (value: string): Uint8Array => Buffer.from(value, 'latin1')

export function isInRange(key: string, from: string, end: string): boolean {
  if (end === '') return key === from
  return key >= from && (end === '\0' || key < end)
}

export const kvText = (kv: ModelKv): string =>
  `${kv.key}=${kv.value}@${kv.create}/${kv.mod}/${kv.version}/${kv.lease}`

/** The same text for a key-value as the store gives it. */
export const answeredKvText = (kv: KeyValue): string =>
  `${text(kv.key)}=${text(kv.value)}@${kv.createRevision}/${kv.modRevision}/${kv.version}/${kv.lease}`

export const eventText = (event: ModelEvent): string =>
  event.now ? `put ${kvText(event.now)}` : `delete ${event.key}@${event.revision}`

export const answeredEventText = (event: KvEvent): string =>
  event.type === 0
    ? `put ${answeredKvText(event.kv)}`
    : `delete ${text(event.kv.key)}@${event.kv.modRevision}`
