/** The OpenAPI document, written from the table of routes: it cannot tell of what is not there. */
import { STATUS_CODES } from 'node:http'
import { toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import type { Json } from '../../lib/json.ts'
import type { Param } from './params.ts'
import { PROBLEM_TYPE } from './problem.ts'
import type { Route } from './route.ts'
import { problemSchema } from './schemas.ts'

type JsonObject = { readonly [key: string]: Json }

/** What any route may answer beside its own. */
const COMMON = [400, 405, 406, 408, 413, 414, 431, 500, 503]
const GUARDED = [401, 403]

export function renderOpenApi(routes: readonly Route[], version: string): JsonObject {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Hakiri',
      version,
      description: 'The HTTP API of `hakiri serve`. Every worker answers for the whole cluster.',
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description:
            'Made by `hakiri token create`. Scopes: read, operate, admin. Not needed on loopback while there is none.',
        },
      },
      schemas: { Problem: schemaOf(problemSchema) },
    },
  }
}

function operationOf(route: Route): JsonObject {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '')
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(route.query).map(([name, param]) => parameterOf(name, param)),
  ]
  const body = route.kind === 'json' && route.body
  return {
    operationId: operationId(route),
    summary: route.summary,
    ...(route.scope === 'open' ? { security: [] } : { 'x-scope': route.scope }),
    parameters,
    ...(body
      ? {
          requestBody: {
            required: v.safeParse(body, {}).success === false,
            content: { 'application/json': { schema: schemaOf(body, 'input') } },
          },
        }
      : {}),
    responses: responsesOf(route),
  }
}

/** "GET /v1/runs/:id/events" → "getRunsIdEvents". */
function operationId({ method, path }: Route): string {
  const words = path.replace(/^\/(v1\/)?/, '').split(/[^a-z]+/i)
  return (
    method.toLowerCase() +
    words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
  )
}

function parameterOf(name: string, param: Param): JsonObject {
  return { name, in: 'query', required: false, description: param.about, schema: typeOf(param) }
}

function typeOf(param: Param): JsonObject {
  switch (param.kind) {
    case 'text':
      return { type: 'string', minLength: 1 }
    case 'flag':
      return { type: 'boolean' }
    case 'word':
      return { type: 'string', enum: param.words }
    case 'count':
      return { type: 'integer', minimum: param.min, maximum: param.max }
  }
}

function responsesOf(route: Route): JsonObject {
  const refusals = [
    ...COMMON,
    ...(route.scope === 'open' ? [] : GUARDED),
    ...(route.method === 'POST' ? [415] : []),
    ...(isConditional(route) ? [304] : []),
    ...route.refusals,
  ]
  const status = route.kind === 'json' ? route.status : 200
  const own = { [status]: { description: STATUS_CODES[status] ?? '', content: contentOf(route) } }
  const others = refusals
    .toSorted((a, b) => a - b)
    .filter((each) => each !== status)
    .map((each) => [String(each), refusalOf(each)] as const)
  return { ...Object.fromEntries(others), ...own }
}

function isConditional(route: Route): boolean {
  return route.method === 'GET' && route.kind === 'json'
}

function refusalOf(status: number): JsonObject {
  const description = STATUS_CODES[status] ?? ''
  if (status === 304) return { description }
  const schema = { $ref: '#/components/schemas/Problem' }
  return { description, content: { [PROBLEM_TYPE]: { schema } } }
}

function contentOf(route: Route): JsonObject {
  switch (route.kind) {
    case 'json':
      return { 'application/json': { schema: schemaOf(route.answer) } }
    case 'text':
      return { [route.type.split(';')[0] ?? '']: { schema: { type: 'string' } } }
    case 'stream':
      return { 'text/event-stream': { schema: { type: 'string' } } }
  }
}

function schemaOf(schema: v.GenericSchema, typeMode: 'input' | 'output' = 'output'): JsonObject {
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    typeMode,
    target: 'draft-2020-12',
    errorMode: 'throw',
  })
  return rest as JsonObject
}
