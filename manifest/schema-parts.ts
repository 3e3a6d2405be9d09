/** The small schemas that every section of the manifest is made of, with messages for people. */
import * as v from 'valibot'

/** A `v.strictObject` entry with a line for editors. */
export function about<T extends v.GenericSchema>(
  text: string,
  schema: T,
): v.SchemaWithPipe<readonly [T, v.DescriptionAction<v.InferOutput<T>, string>]> {
  return v.pipe(schema, v.description(text))
}

export const text = v.pipe(v.string(), v.minLength(1, 'must not be empty'))
export const flag = v.boolean()
export const texts = v.array(text)
export const someTexts = v.pipe(v.array(text), v.minLength(1, 'needs at least one entry'))

export const duration = v.pipe(
  v.string(),
  v.regex(
    /^\d+(\.\d+)?\s*(ms|s|m|h|d)$/,
    'is not a duration: write a number and ms, s, m, h or d, such as "30s"',
  ),
)
export const bytes = v.pipe(
  v.string(),
  v.regex(
    /^\d+(\.\d+)?\s*([KMGTkmgt][Ii]?)?[Bb]$/,
    'is not a size: write a number and B, KB, MB, GB, KiB, MiB or GiB, such as "512MB"',
  ),
)
export const durationRange = v.pipe(
  v.string(),
  v.regex(
    /^\d+(\.\d+)?(ms|s|m|h|d)\.\.\d+(\.\d+)?(ms|s|m|h|d)$/,
    'is not a range of durations: write first..most, such as "1s..5m"',
  ),
)

export const count = (min: number, max: number) =>
  v.pipe(
    v.number(),
    v.integer('must be a whole number'),
    v.minValue(min, `must be ${min} or more`),
    v.maxValue(max, `must be ${max} or less`),
  )

/** Names of pipelines and destinations: they become parts of ids and file names. */
export const NAME = /^[a-z][a-z0-9_-]{0,62}$/

export const name = v.pipe(
  v.string(),
  v.regex(
    NAME,
    'is not a good name: use a-z, 0-9, - and _, starting with a letter, at most 63 characters',
  ),
)

/** A column type as lib/column.ts has them. */
export const columnType = v.pipe(
  v.string(),
  v.regex(
    /^(boolean|short|integer|long|float|double|string|binary|date|timestamp|decimal\(\d{1,2},\s*\d{1,2}\))$/,
    'is not a column type',
  ),
)
export const COLUMN_TYPES: readonly string[] = [
  'boolean',
  'short',
  'integer',
  'long',
  'float',
  'double',
  'string',
  'binary',
  'date',
  'timestamp',
  'decimal(10,2)',
]

/** Text that may be a reference instead of the thing itself. */
export const reference = (what: string) =>
  about(`${what} May be a reference: env:NAME, file:PATH or secret://name.`, text)

/** A secret: only a reference is accepted, never the thing itself. */
export const secret = (what: string) =>
  about(`${what} A reference only: env:NAME, file:PATH or secret://name.`, text)

export const credentials = about(
  'Keys of an S3-compatible store. "env:PREFIX" reads PREFIX_ACCESS_KEY_ID, PREFIX_SECRET_ACCESS_KEY and, when set, PREFIX_SESSION_TOKEN.',
  v.union([
    v.pipe(
      v.string(),
      v.regex(/^env:[A-Za-z_][A-Za-z0-9_]*$/, 'must be "env:PREFIX" or a table of references'),
    ),
    v.strictObject({
      access_key_id: secret('Access key id.'),
      secret_access_key: secret('Secret access key.'),
      session_token: v.optional(secret('Session token.')),
    }),
  ]),
)
