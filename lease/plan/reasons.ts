/** Why a unit has no worker, and what somebody can do about it. */
import type { Board } from './board.ts'
import type { Unassigned } from './plan.ts'

const NAMES_MAX = 5

/** The reason for a unit that the plan gave to nobody; the first that applies. */
export function reasonFor({ workers, units, classes, classOf }: Board, unit: number): Unassigned {
  const blocked = units[unit]?.blocked
  if (blocked !== undefined) return { kind: blocked }
  const kind = classes[classOf[unit] ?? 0]
  const present = workers.flatMap(({ name, state }, index) =>
    state === 'away' ? [] : { name, state, index },
  )
  if (!kind || present.length === 0) return { kind: 'no-worker' }
  const matching = present.filter(({ index }) => kind.matches[index])
  if (matching.length === 0) return { kind: 'no-match', placement: kind.placement }
  const suiting = matching.filter(({ index }) => kind.suits[index])
  if (suiting.length === 0) return { kind: 'failed-everywhere', workers: namesOf(matching) }
  const active = suiting.filter(({ state }) => state === 'active')
  if (active.length === 0) return { kind: 'all-draining', workers: namesOf(suiting) }
  return { kind: 'full', workers: namesOf(active) }
}

/** For people: what is wrong and what to do. */
export function describeUnassigned(reason: Unassigned): string {
  switch (reason.kind) {
    case 'no-worker':
      return 'No worker is there. Start one with `hakiri serve`.'
    case 'paused':
      return 'It is paused. Let it go on with `hakiri shard resume`.'
    case 'quarantined':
      return 'It is quarantined, because its runs failed again and again. See why with `hakiri runs`, then `hakiri shard resume`, or `hakiri shard reset` to read it from the start.'
    case 'no-match':
      return `No worker that is there has the labels ${labelsText(reason.placement)}. Start one with --labels ${labelsText(reason.placement)}, or change \`placement\` of the pipeline.`
    case 'failed-everywhere':
      return `It failed on every worker that could have it (${listText(reason.workers)}). See why with \`hakiri runs logs\`; another worker, or the next run, tries it again.`
    case 'full':
      return `All workers that could have it hold as many as they may (${listText(reason.workers)}). Start another worker, or let these hold more.`
    case 'all-draining':
      return `All workers that could have it are being drained or cordoned (${listText(reason.workers)}). Start another worker, or \`hakiri uncordon\` one of these.`
  }
}

function namesOf(workers: readonly { readonly name: string }[]): readonly string[] {
  return workers.map(({ name }) => name)
}

function labelsText(labels: { readonly [label: string]: string }): string {
  return Object.keys(labels)
    .toSorted()
    .map((key) => `${key}=${labels[key]}`)
    .join(',')
}

function listText(names: readonly string[]): string {
  const more = names.length - NAMES_MAX
  const shown = names.slice(0, NAMES_MAX).join(', ')
  return more > 0 ? `${shown} and ${more} more` : shown
}
