/** Bounded concurrency for shards; the only place that imports the queue. */
import PQueue from 'p-queue'

/** Runs every task, at most `concurrency` at once, and returns the results in the order of the tasks. */
export async function runAll<T>(
  tasks: readonly (() => Promise<T>)[],
  concurrency: number,
): Promise<readonly T[]> {
  const queue = new PQueue({ concurrency })
  return Promise.all(tasks.map((task) => queue.add(task)))
}

export type Slots = {
  /** How many tasks may be added that start at once. */
  readonly free: () => number
  /** Starts the task as soon as a slot is free; its failure is the caller's to meet. */
  add<T>(task: () => Promise<T>): Promise<T>
}

/** Slots that tasks come and go in. */
export function createSlots(concurrency: number): Slots {
  const queue = new PQueue({ concurrency })
  return {
    free: () => Math.max(0, concurrency - queue.pending - queue.size),
    add: (task) => queue.add(task),
  }
}
