/** The hakiri.toml of a team: an API whose every row is known, pulled into a table of the bucket. */
export function manifestOf(bucket: string, source: string, parts: readonly string[]): string {
  return `version = 1

[destination.lake]
type = "s3"
url = "s3://lake/lake"
endpoint = "${bucket}"
region = "us-east-1"
credentials = "env:LAKE"
publish_interval = "500ms"
files = { max_open_time = "1s" }

[pipelines.shop]
mode = "incremental"
write = { mode = "append", cursor = "id" }
destination = "lake"
retries = { max = 20, backoff = "200ms..2s" }

[pipelines.shop.source]
type = "http"
base = "${source}"

[pipelines.shop.source.streams.events]
path = "/shop/{part}"
records = "/items"
paging = { type = "cursor", next = "/next", param = "cursor" }
each = { part = [${parts.map((part) => `"${part}"`).join(', ')}] }
cursor_param = "since"
`
}
