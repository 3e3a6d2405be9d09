/** All checkers over a round: which of them a kind of round can be held against. */
import { replay } from './by-revision.ts'
import { checkLeases, LEASE_OPTIONS, type LeaseOptions } from './leases.ts'
import { checkLinearizable } from './linearizable.ts'
import { checkLocks } from './locks.ts'
import type { Finding, Operation, Problem, Round } from './types.ts'
import { checkWatches } from './watch.ts'

/** Problems of one rule in one round that are told; the rest is counted. */
const TOLD_MAX = 5

/** What is wrong with a round; empty when all is well. */
export function checkRound(round: Round, leases: LeaseOptions = LEASE_OPTIONS): readonly Problem[] {
  const name = `${round.kind} ${round.number}`
  const findings = [...findingsOf(round, leases), ...checkClosed(round)]
  return [...Map.groupBy(findings, ({ rule }) => rule)].flatMap(([rule, all]) => {
    const told = all.slice(0, TOLD_MAX).map((finding) => ({ round: name, ...finding }))
    if (all.length <= TOLD_MAX) return told
    const text = `and ${all.length - TOLD_MAX} more of the kind`
    return [...told, { round: name, rule, text, operations: [] }]
  })
}

function findingsOf(round: Round, leases: LeaseOptions): readonly Finding[] {
  switch (round.kind) {
    case 'registers':
      return checkLinearizable(round)
    case 'keys': {
      const { findings, ...truth } = replay(round)
      const mayBeCompacted = compactionsOf(round.operations)
      return [...findings, ...checkWatches(round, { ...truth, mayBeCompacted })]
    }
    case 'locks':
      return checkLocks(round)
    case 'leases': {
      const { changes, loose, findings } = replay(round, onlyPuts)
      const leased = leasedKeys(round.operations)
      return [
        ...findings,
        ...checkLeases(round, leases),
        ...checkWatches(round, {
          changes,
          loose: new Set([...loose, ...leased]),
          // Rounds of another kind compact beside this one.
          mayBeCompacted: () => true,
        }),
      ]
    }
  }
}

/** Whether a compaction that had been sent by then reaches beyond a revision. */
function compactionsOf(
  operations: readonly Operation[],
): (revision: number, atUs: number) => boolean {
  const sent = operations.flatMap(({ request, invokedUs }) =>
    request.kind === 'compact' ? [{ to: request.revision, invokedUs }] : [],
  )
  return (revision, atUs) => sent.some(({ to, invokedUs }) => to > revision && invokedUs < atUs)
}

/** A round whose end was not reached proves nothing about what it wrote last. */
function checkClosed({ finalRevision }: Round): Finding[] {
  if (finalRevision !== undefined) return []
  return [{ rule: 'round-open', text: 'its end was not reached in time', operations: [] }]
}

/** What vanishes with a lease has no operation, so reads cannot be held against the replay. */
function onlyPuts({ request }: Operation): boolean {
  return request.kind === 'kv' && request.success.every(({ kind }) => kind === 'put')
}

function leasedKeys(operations: readonly Operation[]): readonly string[] {
  return operations.flatMap(({ request }) =>
    request.kind === 'kv'
      ? request.success.flatMap((step) =>
          step.kind === 'put' && step.lease !== undefined ? [step.key] : [],
        )
      : [],
  )
}
