/** Waits for something to be so, by looking: for what real processes do not tell by themselves. */
import { setTimeout as delay } from 'node:timers/promises'

const LOOK_MS = 50
const WAIT_MS = 60_000

/** Looks again and again until there is an answer; throws when the time is up. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  waitMs = WAIT_MS,
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
