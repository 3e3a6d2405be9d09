/** Failures as RFC 9457 problem details, with our codes; what is a bug says nothing of itself. */
import { STATUS_CODES } from 'node:http'
import { CODES, HakiriError } from '../../lib/error.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** A failure with a status of its own, where the code alone does not tell it: 405, 406, 413 … */
export class ApiFailure extends HakiriError {
  readonly status: number
  readonly headers: { readonly [name: string]: string }

  constructor(
    status: number,
    message: string,
    headers: { readonly [name: string]: string } = {},
    suggestion?: string,
  ) {
    super('API_REQUEST', message, suggestion === undefined ? {} : { suggestion })
    this.status = status
    this.headers = headers
  }
}

export type Problem = {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: { readonly [name: string]: string | number }
}

export function problemOf(error: unknown): Problem {
  const failure =
    error instanceof HakiriError ? error : new HakiriError('INTERNAL', 'this is a bug in Hakiri')
  const status = failure instanceof ApiFailure ? failure.status : CODES[failure.code].http
  return {
    status,
    headers: {
      ...(failure instanceof ApiFailure ? failure.headers : {}),
      ...(failure.code === 'API_TOKEN' ? { 'www-authenticate': 'Bearer realm="hakiri"' } : {}),
      ...(status === 503 || status === 429 ? { 'retry-after': '1' } : {}),
    },
    body: {
      type: `/v1/errors/${failure.code}`,
      title: STATUS_CODES[status] ?? 'Failed',
      status,
      code: failure.code,
      detail: failure.message,
      ...(failure.suggestion === undefined ? {} : { suggestion: failure.suggestion }),
    },
  }
}
