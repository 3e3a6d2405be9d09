/** Query parameters: what a route takes, as a table that both the parser and the OpenAPI document read. */
import { HakiriError } from '../../lib/error.ts'
import { nearest, oneOf } from '../../manifest/words.ts'

export type Param =
  | { readonly kind: 'text'; readonly about: string }
  | { readonly kind: 'flag'; readonly about: string }
  | { readonly kind: 'word'; readonly about: string; readonly words: readonly string[] }
  | { readonly kind: 'count'; readonly about: string; readonly min: number; readonly max: number }

export type Params = { readonly [name: string]: Param }

type ParamValue<P extends Param> = P extends { readonly kind: 'flag' }
  ? boolean
  : P extends { readonly kind: 'count' }
    ? number | undefined
    : string | undefined

export type Values<P extends Params> = { readonly [K in keyof P]: ParamValue<P[K]> }

const TEXT_LENGTH_MAX = 1_024

/** Throws API_REQUEST for what the table does not have. */
export function readParams<P extends Params>(params: P, query: URLSearchParams): Values<P> {
  const names = Object.keys(params)
  for (const name of query.keys()) {
    if (!Object.hasOwn(params, name)) throw unknownParam(name, names)
    if (query.getAll(name).length > 1) throw refused(`the parameter ${name} is given twice`)
  }
  const values = names.map((name) => [name, readParam(name, params[name]!, query.get(name))])
  return Object.fromEntries(values) as Values<P>
}

function readParam(name: string, param: Param, text: string | null): unknown {
  switch (param.kind) {
    case 'text':
      if (text !== null && (text === '' || text.length > TEXT_LENGTH_MAX))
        throw refused(`the parameter ${name} must have 1 to ${TEXT_LENGTH_MAX} characters`)
      return text ?? undefined
    case 'flag':
      if (text !== null && text !== 'true' && text !== 'false')
        throw refused(`the parameter ${name} must be true or false`)
      return text === 'true'
    case 'word':
      if (text !== null && !param.words.includes(text))
        throw refused(`the parameter ${name} must be ${oneOf(param.words)}`)
      return text ?? undefined
    case 'count':
      return text === null ? undefined : readCount(name, param.min, param.max, text)
  }
}

function readCount(name: string, min: number, max: number, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max) return value
  throw refused(`the parameter ${name} must be a whole number from ${min} to ${max}`)
}

function unknownParam(name: string, names: readonly string[]): HakiriError {
  const near = nearest(name, names)
  const known = names.length === 0 ? 'There is none here.' : `There is ${names.join(', ')}.`
  return refused(
    `no parameter ${JSON.stringify(name.slice(0, 64))}`,
    near === undefined ? known : `Did you mean ${near}?`,
  )
}

export function refused(message: string, suggestion?: string): HakiriError {
  return new HakiriError('API_REQUEST', message, suggestion === undefined ? {} : { suggestion })
}
