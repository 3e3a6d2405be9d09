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
