/** What to say when a name is not known: the nearest one, or where to look. */
import { HakiriError } from '../lib/error.ts'
import { nearest } from '../manifest/words.ts'

/** NOT_FOUND for `word`, with the name that was probably meant, else `otherwise`. */
export function notFound(
  what: string,
  word: string,
  known: readonly string[],
  otherwise: string,
): HakiriError {
  const near = nearest(word, known)
  return new HakiriError('NOT_FOUND', `no ${what} ${word}`, {
    suggestion: near === undefined ? otherwise : `Did you mean ${near}?`,
  })
}
