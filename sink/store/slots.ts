/**
 * A fixed number of places for concurrent work. Whoever finds none waits in turn; since each piece of
 * work ends by a deadline, so does each wait.
 */

export type Slots = {
  /** Runs `work` as soon as a place is free. */
  use<T>(work: () => Promise<T>): Promise<T>
}

export function createSlots(slotsMax: number): Slots {
  const waiting: (() => void)[] = []
  let free = slotsMax
  const take = async (): Promise<void> => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const give = (): void => {
    const next = waiting.shift()
    if (next) next()
    else free++
  }
  return {
    async use(work) {
      await take()
      try {
        return await work()
      } finally {
        give()
      }
    },
  }
}
