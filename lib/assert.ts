/** Assertions for bugs. An operating condition is a HakiriError, never an assertion. */

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/** Ends the process (by way of an uncaught throw) when the program itself is wrong. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message)
}

/** Closes a switch over a union: the compiler refuses a missing case. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable: ${JSON.stringify(value)}`)
}
