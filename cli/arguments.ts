/** Arguments that are more than text. */
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'

export function wholeNumber(text: string, name: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new HakiriError('USAGE', `${name} takes a whole number, not "${text}"`)
}

export function jsonArgument(text: string, name: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw new HakiriError(
      'STATE_INVALID',
      `${name} is not valid JSON: ${(error as Error).message}`,
      { cause: error },
    )
  }
}
