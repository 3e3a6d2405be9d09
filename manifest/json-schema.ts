/**
 * The JSON Schema that editors use for hakiri.toml (`#:schema` line) and, as `#/$defs/pipeline_file`, for
 * pipeline files. manifest/hakiri.schema.json is its committed text.
 */
import { toJsonSchema } from '@valibot/to-json-schema'
import { definitions, manifestSchema } from './schema.ts'

/** The text of manifest/hakiri.schema.json. */
export function renderJsonSchema(): string {
  const { $schema, ...schema } = toJsonSchema(manifestSchema, { errorMode: 'throw', definitions })
  const about = {
    title: 'Hakiri manifest',
    description: 'hakiri.toml: catalog, destinations and pipelines.',
  }
  return JSON.stringify({ $schema, ...about, ...schema }, null, 2) + '\n'
}
