/** What a scan says about the columns of a batch, in the words of the planner. */
import type { ColumnType, Semantic } from '../../lib/column.ts'
import type { ObservedColumn } from '../plan/batch-plan.ts'
import { KIND } from './scan-ndjson.ts'
import type { ScannedColumn } from './scan-ndjson.ts'

const NUMBER = KIND.small | KIND.long | KIND.wideLong | KIND.big | KIND.huge | KIND.double
const INEXACT_AS_DOUBLE = KIND.wideLong | KIND.big | KIND.huge

/** One column of an NDJSON batch. */
export function observedColumn({ name, kinds }: ScannedColumn): ObservedColumn {
  const { type, semantic } = observedType(kinds)
  const alsoFits = alsoFitting(kinds)
  return {
    name,
    type,
    sourceType: sourceType(kinds),
    empty: kinds === 0,
    ...(semantic ? { semantic } : {}),
    ...(alsoFits.length > 0 ? { alsoFits } : {}),
  }
}

type Observed = { readonly type: ColumnType; readonly semantic?: Semantic }

function observedType(kinds: number): Observed {
  if (kinds === KIND.boolean) return { type: 'boolean' }
  if (kinds === KIND.nested) return { type: 'string', semantic: 'json' }
  return kinds !== 0 && (kinds & ~NUMBER) === 0 ? { type: numberType(kinds) } : { type: 'string' }
}

/** Text when no number type holds all the values. */
function numberType(kinds: number): ColumnType {
  if ((kinds & KIND.huge) !== 0) return 'string'
  if ((kinds & KIND.double) !== 0) return (kinds & INEXACT_AS_DOUBLE) === 0 ? 'double' : 'string'
  return (kinds & KIND.big) === 0 ? 'long' : 'decimal(38,0)'
}

function alsoFitting(kinds: number): readonly ColumnType[] {
  if (kinds === KIND.small) return ['integer', 'double']
  return kinds !== 0 && (kinds & ~(KIND.small | KIND.long)) === 0 ? ['double'] : []
}

const WORDS: readonly (readonly [mask: number, word: string])[] = [
  [KIND.boolean, 'boolean'],
  [KIND.small | KIND.long | KIND.wideLong | KIND.big | KIND.huge, 'integer'],
  [KIND.double, 'number'],
  [KIND.string, 'string'],
  [KIND.nested, 'object'],
]

function sourceType(kinds: number): string {
  const words = WORDS.filter(([mask]) => (kinds & mask) !== 0).map(([, word]) => word)
  return words.length === 0 ? 'null' : words.join(' or ')
}
