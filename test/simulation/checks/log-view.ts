/**
 * What a member's log holds, folded from the batches that went to its disk: one view of what it was
 * told to write, one of what a crash cannot take any more. Entries are known by term and hash.
 */
import type { Entry } from '../../../coord/raft/types.ts'
import type { WalBatch } from '../../../coord/wal/wal.ts'
import { hashBytes, hashText } from '../random.ts'

export type LogView = {
  readonly term: number
  readonly vote: bigint
  readonly commit: number
  readonly markIndex: number
  readonly markTerm: number
  readonly lastIndex: number
  /** Undefined before the mark and after the end. */
  entryAt(index: number): Entry | undefined
  termAt(index: number): number | undefined
  apply(batch: WalBatch): void
}

export const entryHash = (entry: Entry): number => hashBytes(entry.data, hashText(entry.kind))

export function createLogView(): LogView {
  let [term, vote, commit, markIndex, markTerm] = [0, 0n, 0, 0, 0]
  let entries: Entry[] = []
  return {
    get term() {
      return term
    },
    get vote() {
      return vote
    },
    get commit() {
      return commit
    },
    get markIndex() {
      return markIndex
    },
    get markTerm() {
      return markTerm
    },
    get lastIndex() {
      return markIndex + entries.length
    },
    entryAt: (index) => entries[index - markIndex - 1],
    termAt(index) {
      return index === markIndex ? markTerm : entries[index - markIndex - 1]?.term
    },
    apply(batch) {
      if (batch.mark) {
        markIndex = batch.mark.index
        markTerm = batch.mark.term
        entries = []
      }
      if (batch.hardState) ({ term, vote, commit } = batch.hardState)
      const first = batch.entries[0]
      if (!first) return
      entries.length = Math.max(0, Math.min(entries.length, first.index - markIndex - 1))
      for (const entry of batch.entries) if (entry.index > markIndex) entries.push(entry)
    },
  }
}
