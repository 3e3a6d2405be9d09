/**
 * The rows of the API: a pure function of part and number, so that whoever audits a table knows each of
 * them without asking. Ids of one part never meet those of another, and grow with the number.
 */

export type ApiRow = {
  readonly id: number
  readonly n: number
  /** What careless quoting breaks; null now and then. */
  readonly note: string | null
  readonly cents: number
  /** Never whole, so that a reader which goes by values finds one type. */
  readonly ratio: number
  readonly flag: boolean
}

/** Columns beside `part`, which the connector adds from the address. */
export const API_COLUMNS = ['id', 'n', 'note', 'cents', 'ratio', 'flag'] as const

const PART_STRIDE = 10_000_000
const NOTES = ['plain', 'a "quoted", word', "it's\na second line", 'Größe 名前 🐘', '\\N\t\\', '']

/** Row `n` of a part, counted from 1. */
export function apiRow(part: number, n: number): ApiRow {
  const chance = mix(part, n)
  const note = chance % 11 === 0 ? null : `${NOTES[chance % NOTES.length]} ${part}/${n}`
  const ratio = (chance % 1_000) + 0.5
  return {
    id: part * PART_STRIDE + n,
    n,
    note,
    cents: chance % 1_000_000,
    ratio,
    flag: chance % 2 === 0,
  }
}

/** The first row of a part whose id is not below `since`. */
export function firstFrom(part: number, since: number): number {
  return Math.max(1, since - part * PART_STRIDE)
}

/** 32 bits that depend on both numbers. */
function mix(a: number, b: number): number {
  let state = Math.imul(a + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35)
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
  return (state ^ (state >>> 13)) >>> 0
}
