/**
 * The Auth service, while there are no users and roles: whoever logs in is told that nobody has to,
 * which lets clients go on without a token; all else is not implemented.
 */
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import type { Edge } from './edge.ts'
import { EDGE, Refused } from './errors.ts'
import type { Refusal } from './errors.ts'
import { authService } from '../../proto/gen/rpc.ts'

export function authRoutes(edge: Edge): readonly Route[] {
  const refuse = (refusal: Refusal) => (): never => {
    throw new Refused(refusal)
  }
  const { authenticate, ...others } = authService
  return [
    unary(edge, authenticate, refuse(EDGE.authNotEnabled)),
    ...Object.values(others).map((method) =>
      unary<unknown, never>(edge, method, refuse(EDGE.authUnimplemented)),
    ),
  ]
}
