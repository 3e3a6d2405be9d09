/** Requests of the edge that wait for their answer, by number. */
import { assert } from '../../lib/assert.ts'
import { NodeError } from './node.ts'
import type { Result } from './types.ts'

type Waiting = {
  readonly resolve: (result: Result) => void
  readonly reject: (error: NodeError) => void
}

export type Requests = {
  /** A number, and the promise of its result; it rejects with a NodeError. */
  open(): { readonly request: number; readonly result: Promise<Result> }
  settle(request: number, result: Result): void
}

export function createRequests(): Requests {
  const waiting = new Map<number, Waiting>()
  let last = 0
  return {
    open() {
      const request = ++last
      const result = new Promise<Result>((resolve, reject) => {
        waiting.set(request, { resolve, reject })
      })
      return { request, result }
    },
    settle(request, result) {
      const found = waiting.get(request)
      assert(found, 'a request is answered once')
      waiting.delete(request)
      if (result.kind === 'failed') found.reject(new NodeError(result.code))
      else found.resolve(result)
    },
  }
}
