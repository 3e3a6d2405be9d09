/**
 * What happened: the commands of the committed log, each applied once to the reference store, in order.
 * Every check of answers, watches and leases is made against this.
 */
import type { KvCommand, TxnRequest } from '../../../coord/kv/types.ts'
import { createModel } from './model.ts'
import type { Model } from './model.ts'
import { text } from './model-types.ts'
import type { ModelRecord } from './model-types.ts'
import { demand } from './violation.ts'

/** A command as it stands in the log. A sequence that is not above the last of its origin is a copy. */
export type LoggedCommand = {
  readonly index: number
  readonly term: number
  readonly origin: bigint
  readonly seq: number
  readonly command: KvCommand | undefined
}

export type Truth = {
  readonly model: Model
  /** Takes the next command of the committed log. */
  learn(logged: LoggedCommand): void
  /** What became of the command that carries this tag; undefined if it is not committed. */
  record(tag: string): ModelRecord | undefined
  /** The record of the command that made this revision. */
  maker(revision: number): ModelRecord | undefined
  /** A backup that reached to `index` goes on as a new cluster, its revisions so far ahead. */
  restored(index: number, leap: number): void
  /** Called for each command that took effect. */
  onApplied(listen: (logged: LoggedCommand, record: ModelRecord) => void): void
}

export function createTruth(): Truth {
  const model = createModel()
  const sequences = new Map<bigint, number>()
  const byTag = new Map<string, ModelRecord>()
  const byRevision = new Map<number, ModelRecord>()
  let learnt: LoggedCommand[] = []
  const listeners: ((logged: LoggedCommand, record: ModelRecord) => void)[] = []
  return {
    model,
    record: (tag) => byTag.get(tag),
    maker: (revision) => byRevision.get(revision),
    onApplied: (listen) => void listeners.push(listen),
    restored(index, leap) {
      const kept = learnt.filter((logged) => logged.index <= index)
      model.reset()
      learnt = kept
      byTag.clear()
      byRevision.clear()
      sequences.clear()
      for (const logged of kept) take(logged)
      model.leap(leap)
      learnt = []
      sequences.clear()
    },
    learn(logged) {
      const { origin, seq } = logged
      if (seq <= (sequences.get(origin) ?? 0)) return
      sequences.set(origin, seq)
      learnt.push(logged)
      const record = take(logged)
      if (record) for (const listen of listeners) listen(logged, record)
    },
  }

  function take({ index, command }: LoggedCommand): ModelRecord | undefined {
    if (!command) return undefined
    const before = model.revision()
    const record = model.apply(index, command)
    if (record.revision > before) byRevision.set(record.revision, record)
    const tag = tagOf(command)
    if (tag !== undefined) {
      demand(!byTag.has(tag), 'history', () => `the command ${tag} took effect twice`)
      byTag.set(tag, record)
    }
    return record
  }
}

const TAG = /^#[^|]*/

/** A request that writes carries its own name in the first value it would write: `#name|…`. */
export function tagOf(command: KvCommand): string | undefined {
  if (command.kind === 'put') return tagIn(command.request.value)
  return command.kind === 'txn' ? txnTag(command.request) : undefined
}

function txnTag(request: TxnRequest): string | undefined {
  for (const op of [...request.success, ...request.failure]) {
    const value = op.requestPut?.value
    const tag = value ? tagIn(value) : op.requestTxn && txnTag(op.requestTxn)
    if (tag !== undefined) return tag
  }
  return undefined
}

const tagIn = (value: Uint8Array): string | undefined => TAG.exec(text(value))?.[0]
