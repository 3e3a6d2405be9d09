/** The ways in which a schema cannot be merged, worded for the person who has to mend it. */
import type { Column } from '../../lib/column.ts'
import type { ObservedColumn } from './batch-plan.ts'
import { failed, type Failed } from './failure.ts'
import { RESERVED_PREFIX } from './names.ts'
import { parseColumnType } from './types.ts'

/** Columns of a table, without those derived to partition it by. */
export const COLUMNS_MAX = 2_000

type FrozenType = { readonly column: Column; readonly input: ObservedColumn | undefined }

export function invalidInput(
  observed: readonly ObservedColumn[],
  options: { readonly table: string; readonly types?: { readonly [source: string]: string } },
): Failed | undefined {
  const names = new Set<string>()
  for (const { name } of observed) {
    if (names.has(name)) {
      return failed(
        'SCHEMA_INVALID',
        `${options.table}: the source has two columns called ${JSON.stringify(name)}`,
        'Give the columns distinct names in the source, or exclude one of them.',
      )
    }
    names.add(name)
  }
  const bad = Object.entries(options.types ?? {}).find(([, type]) => !parseColumnType(type))
  if (!bad) return undefined
  return failed(
    'CONFIG_INVALID',
    `${options.table}: types.${bad[0]} = ${JSON.stringify(bad[1])} is not a column type`,
    'Use boolean, short, integer, long, float, double, string, binary, date, timestamp or decimal(p,s).',
  )
}

export function reservedName(table: string, source: string): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table}: column ${JSON.stringify(source)} has a name that Hakiri keeps for itself (${RESERVED_PREFIX}…)`,
    'Rename the column in the source, or exclude it.',
  )
}

export function frozenTable(table: string): Failed {
  return failed(
    'SCHEMA_FROZEN',
    `${table} does not exist yet, and schema.tables = "freeze" forbids a new table`,
    'Set schema.tables = "evolve" for one run, or leave the table out of the pipeline.',
  )
}

export function frozenColumns(table: string, columns: readonly ObservedColumn[]): Failed {
  const list = columns.map((column) => `${column.name} (${column.type})`).join(', ')
  return failed(
    'SCHEMA_FROZEN',
    `${table}: the source has new columns ${list}, and schema.columns = "freeze" forbids them`,
    'Set schema.columns = "evolve" or "discard_value", or exclude the columns.',
  )
}

export function frozenTypes(table: string, ways: readonly FrozenType[]): Failed {
  const list = ways
    .map(({ column, input }) => `${column.source} (${column.type}, now ${input?.type})`)
    .join(', ')
  return failed(
    'SCHEMA_FROZEN',
    `${table}: values no longer fit the columns ${list}, and schema.types = "freeze" forbids that`,
    'Set schema.types = "variant" to keep such values as text beside the column.',
  )
}

export function tooManyColumns(table: string, count: number): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table} would have ${count} columns; the limit is ${COLUMNS_MAX}`,
    'Exclude columns, or set schema.columns = "discard_value".',
  )
}
