/** Runs a transaction again when it lost a race for locks; any other failure passes at once. */
import { type Backoff, withRetry } from '../lib/backoff.ts'
import type { HakiriError } from '../lib/error.ts'
import type { CatalogDeps } from './sql.ts'

type Attempt<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }

/** `asLocked` gives the error to throw in the end when `error` is a lost race, else undefined. */
export async function retryLocked<T>(
  backoff: Backoff,
  deps: CatalogDeps,
  asLocked: (error: unknown) => HakiriError | undefined,
  transaction: () => Promise<T>,
): Promise<T> {
  const attempt = await withRetry(backoff, deps, async (): Promise<Attempt<T>> => {
    try {
      return { kind: 'done', value: await transaction() }
    } catch (error) {
      const locked = asLocked(error)
      if (locked) throw locked
      return { kind: 'failed', error }
    }
  })
  if (attempt.kind === 'failed') throw attempt.error
  return attempt.value
}
