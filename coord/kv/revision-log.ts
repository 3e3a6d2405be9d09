/** The changes in the order of their revisions: a queue of slots that grows behind and shrinks in front. */

export type RevisionLog = { slots: Uint32Array; first: number; end: number }

const CAPACITY_MIN = 256

export function createRevisionLog(): RevisionLog {
  return { slots: new Uint32Array(CAPACITY_MIN), first: 0, end: 0 }
}

export function pushSlot(log: RevisionLog, slot: number): void {
  if (log.end === log.slots.length) makeRoom(log)
  log.slots[log.end] = slot
  log.end += 1
}

/** The first place whose slot has a revision not below the given one. */
export function findRevision(log: RevisionLog, revision: number, revisions: Float64Array): number {
  let low = log.first
  let high = log.end
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((revisions[log.slots[middle] ?? 0] ?? 0) < revision) low = middle + 1
    else high = middle
  }
  return low
}

/** Forgets what lies before a place, and returns memory that a long history took. */
export function dropBefore(log: RevisionLog, place: number): void {
  log.first = place
  const length = log.end - log.first
  if (length * 4 < log.slots.length && log.slots.length > CAPACITY_MIN) move(log, length * 2)
}

function makeRoom(log: RevisionLog): void {
  move(log, (log.end - log.first) * 2)
}

function move(log: RevisionLog, capacity: number): void {
  const slots = new Uint32Array(Math.max(CAPACITY_MIN, capacity))
  slots.set(log.slots.subarray(log.first, log.end))
  log.end -= log.first
  log.first = 0
  log.slots = slots
}
