/**
 * The values under the cluster's prefix: small JSON with a version. Fields that are not known are
 * ignored. Invariant: what cannot be read is held by an unknown worker, never by nobody, so that a
 * record of a later version cannot make a unit look free.
 */
import type { KeyValue } from '../proto/gen/kv.ts'
import type { MemberRecord, MemberState, WorkerIdentity } from './coordination.ts'
import { textOf } from './keys.ts'

/** Stands for the holder named by a record that cannot be read; no worker may be called so. */
export const UNKNOWN_WORKER = '(unknown)'

const VERSION = 1
/** Beyond this many different texts, which are few as there are few workers, all are forgotten. */
const TEXTS_MAX = 1_000

type Fields = { readonly [key: string]: unknown }

/** The value of a claim, an assignment or the planner's key. */
export function encodeHolder(worker: string): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, worker }))
}

/** Reads such values; thousands of them say the same, so each text is parsed once. */
export function createHolderReader(): (value: Uint8Array) => string {
  const known = new Map<string, string>()
  return (value) => {
    const text = textOf(value)
    const found = known.get(text)
    if (found !== undefined) return found
    const worker = parse(text)?.['worker']
    const holder = typeof worker === 'string' && worker !== '' ? worker : UNKNOWN_WORKER
    if (known.size >= TEXTS_MAX) known.clear()
    known.set(text, holder)
    return holder
  }
}

export function encodeMember(identity: WorkerIdentity, state: MemberState): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, state, ...identity }))
}

/** Undefined when it cannot be read. */
export function decodeMember(name: string, kv: KeyValue): MemberRecord | undefined {
  const fields = parse(textOf(kv.value))
  if (fields?.['name'] !== name) return undefined
  const [slots, unitsMax] = [fields['slots'], fields['unitsMax']]
  const protocol = readProtocol(fields['protocol'])
  if (!isCount(slots) || slots === 0 || !isCount(unitsMax) || !protocol) return undefined
  return {
    name,
    incarnation: textIn(fields, 'incarnation'),
    machine: textIn(fields, 'machine'),
    pid: numberIn(fields, 'pid'),
    address: textIn(fields, 'address'),
    slots,
    unitsMax,
    labels: readLabels(fields['labels']),
    version: textIn(fields, 'version'),
    protocol,
    startedAt: numberIn(fields, 'startedAt'),
    state: fields['state'] === 'active' ? 'active' : 'leaving',
    lease: leaseName(kv.lease),
  }
}

/** As people see a lease, e.g. in `etcdctl lease list`. */
export function leaseName(lease: bigint): string {
  return lease.toString(16)
}

function parse(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) && value['v'] === VERSION ? value : undefined
  } catch {
    return undefined
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function textIn(fields: Fields, key: string): string {
  const value = fields[key]
  return typeof value === 'string' ? value : ''
}

function numberIn(fields: Fields, key: string): number {
  const value = fields[key]
  return typeof value === 'number' ? value : 0
}

function readProtocol(value: unknown): WorkerIdentity['protocol'] | undefined {
  if (!isFields(value)) return undefined
  const { oldest, newest } = value
  return isCount(oldest) && isCount(newest) ? { oldest, newest } : undefined
}

function readLabels(value: unknown): WorkerIdentity['labels'] {
  if (!isFields(value)) return {}
  const pairs = Object.entries(value).flatMap(([key, label]) =>
    typeof label === 'string' ? [[key, label] as const] : [],
  )
  return Object.fromEntries(pairs)
}
