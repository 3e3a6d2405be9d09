/** A plan that cannot be made, as data: the planner throws nothing for an operating condition. */
import { HakiriError, type Code } from '../../lib/error.ts'

export type PlanFailure = {
  readonly code: Code
  readonly message: string
  readonly suggestion: string
}

export type Failed = { readonly kind: 'failed'; readonly failure: PlanFailure }

export function failed(code: Code, message: string, suggestion: string): Failed {
  return { kind: 'failed', failure: { code, message, suggestion } }
}

/** The failure as an error, for callers that throw. */
export function failureError(failure: PlanFailure): HakiriError {
  return new HakiriError(failure.code, failure.message, { suggestion: failure.suggestion })
}
