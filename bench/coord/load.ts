/**
 * A closed loop: so many clients, each sending its next request when the last one is answered. The same
 * code and the same client library for every contender, so that what differs is the server.
 */

export type Load = {
  readonly clients: number
  readonly seconds: number
}

export type LoadResult = {
  readonly perS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly answered: number
}

/** `request` gets a number that no other request of this load has. Any failure ends the bench. */
export async function runLoad(
  { clients, seconds }: Load,
  request: (number: number) => Promise<unknown>,
): Promise<LoadResult> {
  const took: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  let next = 0
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const sent = performance.now()
      await request(next++)
      took.push(performance.now() - sent)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  const elapsedS = (performance.now() - started) / 1000
  return {
    perS: Math.round(took.length / elapsedS),
    p50Ms: percentile(took, 0.5),
    p99Ms: percentile(took, 0.99),
    answered: took.length,
  }
}

/** Rounded to hundredths. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = Math.min(sorted.length - 1, Math.floor(sorted.length * part))
  return Math.round((sorted[at] ?? Number.NaN) * 100) / 100
}
