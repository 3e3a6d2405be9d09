/** Waits for something to be so. */
import { setTimeout as delay } from 'node:timers/promises'

const LOOK_MS = 50

/** Looks again and again until there is an answer; throws when the time is up. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  waitMs: number,
  describe: () => Promise<string> = () => Promise.resolve(''),
): Promise<T> {
  const end = performance.now() + waitMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end)
      throw new Error(`not within ${waitMs} ms: ${what} ${await describe()}`)
    await delay(LOOK_MS)
  }
}
