/**
 * Strict serializability of what clients were told. Revisions order everything: a write stands where
 * its revision says, a read right after the write whose revision it saw. It remains to check that each
 * answer is what the reference store says at that place, and that places never contradict real time.
 */
import type {
  Applied,
  KvCommand,
  KvOutcome,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from '../../../coord/kv/types.ts'
import { answerText, answeredRange, answeredTxn, deleteText } from './answer-text.ts'
import { text } from './model-types.ts'
import { tagOf } from './truth.ts'
import type { Truth } from './truth.ts'
import { demand } from './violation.ts'
import { RANGE_DEFAULTS } from '../../../coord/client/range-defaults.ts'

/** What a client knows when it asks: nothing that was acknowledged before may be missing later. */
export type Asked = { readonly revision: number; readonly index: number }

export type History = {
  /** To be called when the request leaves its client. */
  ask(): Asked
  wrote(asked: Asked, command: KvCommand, applied: Applied): void
  read(
    asked: Asked,
    request: RangeRequest,
    answer: KvOutcome<RangeResponse>,
    revision: number,
  ): void
  readTxn(asked: Asked, request: TxnRequest, answer: KvOutcome<TxnResponse>, revision: number): void
  /** The command was refused for certain: it must never take effect. */
  refused(command: KvCommand): void
  /** A backup goes on as a new cluster: revisions still rise, the log begins anew. */
  restored(): void
  /** At the end: nothing that was refused for certain is there. */
  finish(): void
  readonly counts: { writes: number; reads: number; refused: number }
}

export function createHistory(truth: Truth): History {
  const { model } = truth
  let acknowledged: Asked = { revision: 1, index: 0 }
  const refusedTags: string[] = []
  const counts = { writes: 0, reads: 0, refused: 0 }

  function acknowledge(revision: number, index: number): void {
    acknowledged = {
      revision: Math.max(acknowledged.revision, revision),
      index: Math.max(acknowledged.index, index),
    }
  }

  /** R6: nobody may be told of a revision that is not committed. */
  function exists(revision: number, what: string): void {
    const top = model.revision()
    demand(
      revision <= top,
      'R6',
      () => `${what} tells of revision ${revision}, committed is ${top}`,
    )
  }

  function wroteTagged(asked: Asked, tag: string, applied: Applied): void {
    const record = truth.record(tag)
    demand(!!record, 'R6', () => `the write ${tag} was acknowledged, but is not committed`)
    const { outcome } = applied
    const [told, is] = [
      outcome.ok ? answerText(outcome.value) : outcome.error,
      record.outcome.kind === 'done' ? record.outcome.text : record.outcome.error,
    ]
    demand(told === is, 'history', () => `${tag} at ${record.index} answers ${told}, not ${is}`)
    const places = (): string => `${tag}: ${applied.revision}, not ${record.revision}`
    demand(applied.revision === record.revision, 'history', places)
    demand(
      record.index > asked.index,
      'history',
      () => `${tag} stands at ${record.index}, asked after ${asked.index} was acknowledged`,
    )
    acknowledge(record.revision, record.index)
  }

  function deleted(asked: Asked, command: KvCommand & { kind: 'delete-range' }, applied: Applied) {
    const { revision, outcome } = applied
    demand(outcome.ok, 'history', () => 'a deletion was refused')
    const told = answerText(outcome.value)
    const { key, rangeEnd } = command.request
    exists(revision, 'a deletion')
    if (told === deleteText(0, [])) {
      const left = model.range({ ...RANGE_DEFAULTS, key, rangeEnd, countOnly: true }, revision)
      demand(left === 'range[]#0', 'history', () => `deleted nothing at ${revision}: ${left}`)
      inTime(asked, revision, `a deletion of nothing`)
      acknowledge(revision, 0)
      return
    }
    const record = truth.maker(revision)
    const is = record?.outcome.kind === 'done' ? record.outcome.text : 'nothing'
    demand(told === is, 'history', () => `a deletion at ${revision} answers ${told}, not ${is}`)
    demand(
      revision > asked.revision,
      'history',
      () => `a deletion at ${revision}, asked after ${asked.revision} was acknowledged`,
    )
    acknowledge(revision, record?.index ?? 0)
  }

  function inTime(asked: Asked, revision: number, what: string): void {
    demand(
      revision >= asked.revision,
      'history',
      () =>
        `${what} saw ${revision}, though ${asked.revision} was acknowledged before it was asked`,
    )
  }

  function readAt(asked: Asked, isSerializable: boolean, revision: number, what: string): void {
    counts.reads++
    exists(revision, what)
    if (isSerializable) return
    inTime(asked, revision, what)
    acknowledge(revision, 0)
  }

  return {
    counts,
    ask: () => acknowledged,
    wrote(asked, command, applied) {
      counts.writes++
      exists(applied.revision, command.kind)
      const tag = tagOf(command)
      if (tag !== undefined) wroteTagged(asked, tag, applied)
      else if (command.kind === 'delete-range') deleted(asked, command, applied)
    },
    read(asked, request, answer, revision) {
      const what = `a read of ${text(request.key)}`
      readAt(asked, request.serializable, revision, what)
      if (!answer.ok) {
        const mayFail = answer.error === 'compacted' && request.revision < model.compactRevision()
        const isFuture = answer.error === 'future-revision' && request.revision > revision
        demand(mayFail || isFuture, 'history', () => `${what}: ${answer.error}`)
        return
      }
      const told = answeredRange(answer.value)
      const is = model.range(request, revision)
      demand(told === is, 'history', () => `${what} at ${revision} answers ${told}, not ${is}`)
    },
    readTxn(asked, request, answer, revision) {
      readAt(asked, false, revision, 'a transaction that reads')
      demand(answer.ok, 'history', () => 'a transaction that reads was refused')
      const told = answeredTxn(answer.value)
      const is = model.txnAt(request, revision)
      demand(told === is, 'history', () => `a transaction at ${revision}: ${told}, not ${is}`)
    },
    restored() {
      acknowledged = { revision: acknowledged.revision, index: 0 }
    },
    refused(command) {
      counts.refused++
      const tag = tagOf(command)
      if (tag !== undefined) refusedTags.push(tag)
    },
    finish() {
      for (const tag of refusedTags)
        demand(!truth.record(tag), 'history', () => `${tag} was refused, yet it took effect`)
    },
  }
}
