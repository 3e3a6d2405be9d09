/** What the cluster of a chaos run pulls: four pipelines that together use every way of reading and writing. */

export const PIPELINES = ['accounts', 'events', 'ledger', 'tickets'] as const
export type PipelineName = (typeof PIPELINES)[number]

export type ManifestPlaces = {
  readonly apiUrl: string
  readonly bucketUrl: string
  readonly parts: number
}

/** Environment of whoever resolves the references below. */
export const SOURCE_VARIABLE = 'CHAOS_SOURCE'
export const KEYS_VARIABLE = 'CHAOS_KEYS'
export const BUCKET = 'lake'
/** Under which tables lie in the bucket. */
const TABLES = 'tables'

/** Of a table, within the bucket. */
export function tablePrefix(table: string): string {
  return `${TABLES}/${table.replaceAll('.', '/')}/`
}

export function tableOf(pipeline: PipelineName): string {
  return `${pipeline}.${pipeline}`
}

/** Short times throughout: what is worth a fault happens often. */
export function manifestText({ apiUrl, bucketUrl, parts }: ManifestPlaces): string {
  const all = Array.from({ length: parts }, (_, part) => `"${part}"`).join(', ')
  return `version = 1

[destination.lake]
type = "s3"
url = "s3://${BUCKET}/${TABLES}"
endpoint = "${bucketUrl}"
region = "us-east-1"
credentials = "env:${KEYS_VARIABLE}"
publish_interval = "2s"
files = { max_open_time = "2s", compact = { min_files = 8 } }

[defaults]
retries = { max = 8, backoff = "200ms..3s" }

# Grows all the time; cut by a column that spreads the new rows over all ranges.
[pipelines.ledger]
source = { type = "postgres", url = "env:${SOURCE_VARIABLE}", tables = ["ledger"] }
mode = "incremental"
shard_by = { key = "slot", ranges = 6 }
write = { mode = "append", cursor = "id" }
schedule = { every = "10s", overlap = "skip", catchup = true }

# Rows change while they are read.
[pipelines.tickets]
source = { type = "postgres", url = "env:${SOURCE_VARIABLE}", tables = ["tickets"] }
mode = "incremental"
shard_by = { key = "id", ranges = 3 }
write = { mode = "upsert", key = ["id"], cursor = "updated_at" }
schedule = { every = "15s", overlap = "queue" }

# Replaced as a whole.
[pipelines.accounts]
source = { type = "postgres", url = "env:${SOURCE_VARIABLE}", tables = ["accounts"] }
mode = "full"
write = { mode = "replace" }

# Many small shards, which are written together.
[pipelines.events]
mode = "incremental"
write = { mode = "append", cursor = "id" }
[pipelines.events.source]
type = "http"
base = "${apiUrl}"
[pipelines.events.source.streams.events]
path = "/events/{part}"
records = "/items"
paging = { type = "cursor", next = "/next", param = "cursor" }
each = { part = [${all}] }
cursor_param = "since"
`
}
