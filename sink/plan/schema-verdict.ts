/**
 * What the schema policy says to one change: a table of policy × decision, without side effects. The
 * changes that wait for a person are plain JSON, equal for equal questions.
 */
import type { SchemaDecision } from '../../catalog/catalog.ts'
import { unreachable } from '../../lib/assert.ts'
import type { Column, ColumnType } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'
import type { SchemaAction, SchemaPolicy } from '../../lib/policy.ts'
import type { ObservedColumn } from './batch-plan.ts'

/** A change as it was put to a person, and the answer so far. */
export type Decision = Pick<SchemaDecision, 'change' | 'status'>

/** `accept`: add the column, or keep misfits beside it. `reject`: rows go to quarantine. */
export type Verdict =
  | { readonly kind: 'accept' | 'discard' | 'freeze' }
  | { readonly kind: 'reject'; readonly reason: string; readonly ask: Json | undefined }

export type SchemaChange =
  | { readonly kind: 'add-table'; readonly table: string }
  | { readonly kind: 'add-column'; readonly column: string; readonly type: ColumnType }
  | {
      readonly kind: 'change-type'
      readonly column: string
      readonly from: ColumnType
      readonly to: ColumnType
    }

/** May a source table that has no table yet get one? */
export function tableVerdict(
  table: string,
  policy: SchemaPolicy['tables'],
  decisions: readonly Decision[],
): Verdict {
  const reason = `table ${table} may not be added`
  const verdict = rule(policy, { kind: 'add-table', table }, reason, decisions)
  return verdict.kind === 'discard' ? { kind: 'reject', reason, ask: undefined } : verdict
}

/** May a column that the table does not have be added? */
export function columnVerdict(
  observed: ObservedColumn,
  policy: SchemaAction,
  decisions: readonly Decision[],
): Verdict {
  const change: SchemaChange = { kind: 'add-column', column: observed.name, type: observed.type }
  return rule(policy, change, `column ${observed.name} is not in the table`, decisions)
}

/** What becomes of values that do not fit their column? */
export function typeVerdict(
  observed: ObservedColumn,
  column: Pick<Column, 'type'>,
  policy: SchemaPolicy['types'],
  decisions: readonly Decision[],
): Verdict {
  const change: SchemaChange = {
    kind: 'change-type',
    column: observed.name,
    from: column.type,
    to: observed.type,
  }
  const action = policy === 'variant' ? 'evolve' : policy
  return rule(action, change, `value of ${observed.name} is no ${column.type}`, decisions)
}

function rule(
  action: SchemaAction,
  change: SchemaChange,
  reason: string,
  decisions: readonly Decision[],
): Verdict {
  switch (action) {
    case 'evolve':
      return { kind: 'accept' }
    case 'freeze':
      return { kind: 'freeze' }
    case 'discard_row':
      return { kind: 'reject', reason, ask: undefined }
    case 'discard_value':
      return { kind: 'discard' }
    case 'ask':
      return answered(change, reason, decisions)
    default:
      return unreachable(action)
  }
}

function answered(change: SchemaChange, reason: string, decisions: readonly Decision[]): Verdict {
  const same = decisions.filter((decision) => isSameQuestion(decision.change, change))
  const answer = same.findLast((decision) => decision.status !== 'pending')
  if (answer) return { kind: answer.status === 'approved' ? 'accept' : 'discard' }
  const waiting = `${reason}; a decision is pending`
  return { kind: 'reject', reason: waiting, ask: same.length > 0 ? undefined : change }
}

/** The types seen may differ from batch to batch; the question is about the column. */
function isSameQuestion(asked: Json, change: SchemaChange): boolean {
  if (asked === null || typeof asked !== 'object' || Array.isArray(asked)) return false
  const other = asked as { readonly [key: string]: Json }
  if (other['kind'] !== change.kind) return false
  return change.kind === 'add-table'
    ? other['table'] === change.table
    : other['column'] === change.column
}
