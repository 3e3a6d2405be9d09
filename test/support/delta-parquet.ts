/**
 * Reads one Parquet file column by column without losing anything: 64-bit integers stay bigint,
 * decimals keep every digit, timestamps their microseconds, text is checked to be UTF-8.
 */
import { parquetMetadataAsync, parquetRead, parquetReadObjects, parquetSchema } from 'hyparquet'
import type { AsyncBuffer, FileMetaData, SchemaElement } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { bigintOf, decimalOf, decimalText } from './delta-values.ts'
import type { DeltaField, DeltaType, Value } from './delta-values.ts'

export type ParquetFile = {
  readonly metadata: FileMetaData
  readonly buffer: AsyncBuffer
  readonly rows: number
  readonly rowGroups: number
  /** Top-level columns in file order. */
  readonly columns: readonly SchemaElement[]
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && utf8.decode(bytes)

const EXACT = {
  timestampFromMilliseconds: (millis: bigint) => millis * 1000n,
  timestampFromMicroseconds: (micros: bigint) => micros,
  timestampFromNanoseconds: (nanos: bigint) => nanos / 1000n,
  dateFromDays: (days: number) => days,
  stringFromBytes: text,
  jsonFromBytes: text,
}

export async function openParquet(bytes: Uint8Array): Promise<ParquetFile> {
  const buffer: AsyncBuffer = {
    byteLength: bytes.byteLength,
    slice: (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer,
  }
  const metadata = await parquetMetadataAsync(buffer, { geoparquet: false })
  return {
    metadata,
    buffer,
    rows: Number(metadata.num_rows),
    rowGroups: metadata.row_groups.length,
    columns: parquetSchema(metadata).children.map((child) => child.element),
  }
}

/** All values of one column of the table; null throughout when the file does not have it. */
export async function readColumn(file: ParquetFile, field: DeltaField): Promise<readonly Value[]> {
  if (!file.columns.some((column) => column.name === field.name))
    return Array.from({ length: file.rows }, () => null)
  const values: Value[] = []
  await parquetRead({
    file: file.buffer,
    metadata: withoutDecimals(file.metadata),
    columns: [field.name],
    compressors,
    parsers: EXACT,
    utf8: false,
    geoparquet: false,
    onChunk: ({ columnData, rowStart }) => {
      for (let at = 0; at < columnData.length; at++)
        values[rowStart + at] = exact(field.type, columnData[at])
    },
  })
  if (values.length !== file.rows)
    throw new Error(`column ${field.name} has ${values.length} values, the file ${file.rows} rows`)
  return values
}

/** Whole rows as plain objects, for checkpoints. */
export function readObjects(file: ParquetFile): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({
    file: file.buffer,
    metadata: file.metadata,
    compressors,
    parsers: EXACT,
    geoparquet: false,
  })
}

/** Without their annotation, decimals come out as the integers and bytes that are stored. */
function withoutDecimals(metadata: FileMetaData): FileMetaData {
  const schema = metadata.schema.map((element): SchemaElement => {
    if (element.converted_type !== 'DECIMAL' && element.logical_type?.type !== 'DECIMAL')
      return element
    const { converted_type: _converted, logical_type: _logical, ...rest } = element
    return rest
  })
  return { ...metadata, schema }
}

function exact(type: DeltaType, value: unknown): Value {
  if (value === null || value === undefined) return null
  if (typeof type === 'string') return exactPrimitive(type, value)
  switch (type.type) {
    case 'struct': {
      const object = value as Record<string, unknown>
      return Object.fromEntries(type.fields.map((f) => [f.name, exact(f.type, object[f.name])]))
    }
    case 'array':
      return Array.from(value as ArrayLike<unknown>, (item) => exact(type.elementType, item))
    case 'map':
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, exact(type.valueType, item)]),
      )
  }
}

function exactPrimitive(type: string, value: unknown): Value {
  const decimal = decimalOf(type)
  if (decimal) {
    const unscaled =
      value instanceof Uint8Array ? bigintOf(value) : BigInt(value as number | bigint)
    return decimalText(unscaled, decimal.scale)
  }
  return type === 'long' && typeof value === 'number' ? BigInt(value) : (value as Value)
}
