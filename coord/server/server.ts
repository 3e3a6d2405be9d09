/**
 * The edge of a coordinator: the etcd v3 API over one node. It answers on whatever grpc-js server and
 * HTTP listener it is put on, and owns neither.
 */
import { Server } from '@grpc/grpc-js'
import { authRoutes } from './auth.ts'
import { addRoutes } from './route.ts'
import type { Route } from './route.ts'
import { clusterRoutes } from './cluster.ts'
import { createEdge } from './edge.ts'
import type { EdgeParts } from './edge.ts'
import { healthRoutes } from './health.ts'
import { createHttpHandler } from './http.ts'
import type { HttpHandler } from './http.ts'
import { kvRoutes } from './kv.ts'
import { leaseRoutes } from './lease.ts'
import { DEFAULT_LIMITS, serverOptions } from './limits.ts'
import type { EdgeLimits } from './limits.ts'
import { maintenanceRoutes } from './maintenance.ts'
import { watchRoute } from './watch.ts'

export type CoordServerParts = Omit<EdgeParts, 'limits'> & {
  readonly limits?: Partial<EdgeLimits>
}

export type CoordServer = Disposable & {
  /** A server with every service, made with the limits; not bound to anything. */
  createGrpc(): Server
  /** Answers plain HTTP requests on the same port. */
  readonly http: HttpHandler
  /** Ends every stream with "server stopped" and refuses what comes from now on. */
  close(): void
}

export function createCoordServer(parts: CoordServerParts): CoordServer {
  const limits = { ...DEFAULT_LIMITS, ...parts.limits }
  const edge = createEdge({ ...parts, limits })
  const services: readonly (readonly Route[])[] = [
    kvRoutes(edge),
    [watchRoute(edge)],
    leaseRoutes(edge),
    clusterRoutes(edge),
    maintenanceRoutes(edge),
    authRoutes(edge),
    healthRoutes(edge),
  ]
  return {
    createGrpc: () => {
      const server = new Server(serverOptions(limits))
      for (const routes of services) addRoutes(server, routes)
      return server
    },
    http: createHttpHandler({
      node: parts.node,
      registry: parts.metrics.registry,
      version: parts.version,
      signal: edge.signal,
    }),
    close: () => edge.close(),
    [Symbol.dispose]: () => edge.close(),
  }
}
