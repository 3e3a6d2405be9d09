/** What a check of a chaos run found: which rule was broken, and where. An empty list is the claim that none was. */

export type Problem = {
  /** The rule, by a short name that stays the same. */
  readonly check: string
  readonly text: string
}

/** Names kept of a long list: enough to look into, not enough to drown in. */
const NAMED_MAX = 5

/** "7 rows: a, b, c, d, e and 2 more". */
export function named(what: string, all: readonly (string | number)[]): string {
  const more = all.length > NAMED_MAX ? ` and ${all.length - NAMED_MAX} more` : ''
  return `${all.length} ${what}: ${all.slice(0, NAMED_MAX).join(', ')}${more}`
}
