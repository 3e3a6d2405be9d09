/**
 * The files of a new project: a hakiri.toml that runs as it is over sample data, with an example of every
 * section. Example lines start with # and no space, so that removing the # is all it takes.
 */
import jsonSchema from './hakiri.schema.json' with { type: 'json' }
import { SAMPLE_ORDERS } from './sample.ts'

const HAKIRI_TOML = `#:schema ./hakiri.schema.json
# Hakiri: pipelines that keep tables in reach.
#   hakiri validate      check this file
#   hakiri plan          what a run would do
#   hakiri run           do it
#   hakiri query         ask the tables
# Lines that start with # and no space are examples: remove the # to use them.
version = 1

# Who coordinates several workers: "local", "raft" or "etcd".
#coord_backend = "local"

# ── Where cursors, runs and table logs are kept ──────────────────────────────────────────────────────
[catalog]
url = "sqlite:.hakiri/catalog.db"
# On several machines, Postgres. References are read when they are needed: env:NAME (environment),
# file:PATH (a file's text), secret://name (the OS keychain, else NAME in .env). Secrets never stand here.
# url = "env:HAKIRI_CATALOG_URL"

# ── Where tables go ──────────────────────────────────────────────────────────────────────────────────
[destination.lake]
type = "file"
url = "lake"
#publish_interval = "30s"

#[destination.lake.files]
#target_size = "192MB"
#max_open_time = "5m"
#compact = { min_files = 16, schedule = "15 * * * *", retain = "7d" }

# Any S3-compatible store. "env:LAKE" reads LAKE_ACCESS_KEY_ID and LAKE_SECRET_ACCESS_KEY.
#[destination.bucket]
#type = "s3"
#url = "s3://my-bucket/tables"
#endpoint = "https://s3.eu-central-1.amazonaws.com"
#region = "eu-central-1"
#credentials = "env:LAKE"

# ── What pipelines have unless they say otherwise ────────────────────────────────────────────────────
[defaults]
destination = "lake"
memory = "512MB"
#retries = { max = 8, backoff = "1s..5m" }
#quarantine = { max_rows = 1000, max_ratio = 0.001 }
#limits = { concurrency = 4 }

# What a changing source may do: evolve, freeze, discard_row, discard_value, ask; types also variant.
#schema = { tables = "evolve", columns = "evolve", types = "variant" }

# Only workers with these labels.
#placement = { region = "eu" }

# ── Pipelines ────────────────────────────────────────────────────────────────────────────────────────
# Files become a table, anew with every run.
[pipelines.orders]
source = { type = "file", paths = ["data/orders*.csv"], table = "orders" }
#types = { unit_price = "decimal(10,2)" }
#partition_by = ["month(ordered_at)"]

# Only files that are new, one shard each.
#[pipelines.logs]
#source = { type = "file", paths = ["logs/**/*.ndjson"], format = "ndjson", table = "logs" }
#mode = "incremental"
#shard_by = "file"
#write = { mode = "append" }

# Tables of a Postgres database, by a column that grows with every change; rows are merged by key.
#[pipelines.shop]
#source = { type = "postgres", url = "env:SHOP_DB", tables = ["public.*", "!public.tmp_*"] }
#shard_by = "table"
#write = { mode = "upsert", cursor = "updated_at", lag = "10m" }
#schedule = { cron = "*/10 * * * *", tz = "UTC", overlap = "skip", jitter = "30s" }
#[pipelines.shop.table."public.events"]
#exclude = ["raw_body"]
#shard_by = { key = "id", ranges = 8 }
#write = { key = ["id"] }

# A JSON API. Pages by Link header; also cursor, next-url, offset and page.
#[pipelines.issues]
#write = { mode = "upsert", key = ["id"], cursor = "updated_at" }
#limits = { concurrency = 4, requests_per_hour = 4500 }
#schedule = { every = "1h" }
#[pipelines.issues.source]
#type = "http"
#base = "https://api.github.com"
#auth = { type = "bearer", token = "env:GITHUB_TOKEN" }
#headers = { Accept = "application/vnd.github+json" }
#timeout = "30s"
#[pipelines.issues.source.streams.issues]
#path = "repos/{repo}/issues"
#query = { state = "all", per_page = 100 }
#paging = "link"
#each = { repo = ["nodejs/node", "duckdb/duckdb"] }
#cursor_param = "since"

# ── For a daemon and a cluster ───────────────────────────────────────────────────────────────────────
#[alerts]
#webhook = { url = "env:SLACK_WEBHOOK", on = ["failed", "recovered"] }

#[coord]
# For workers and "hakiri ctl":
#endpoints = ["10.0.0.1:7701", "10.0.0.2:7701", "10.0.0.3:7701"]
# For "hakiri coord", the same on all three:
#bind = "0.0.0.0:7701"
#peers = ["10.0.0.1:7701", "10.0.0.2:7701", "10.0.0.3:7701"]
#tls = { ca = "/etc/hakiri/ca.pem", cert = "/etc/hakiri/node.pem", key = "/etc/hakiri/node.key", client_auth = true }

#[worker]
#bind = "127.0.0.1"
#port = 7700
#slots = 4
#labels = { region = "eu" }
`

/** Name → text of every file that `hakiri init` writes, hakiri.toml first. */
export function projectFiles(): Readonly<Record<string, string>> {
  return {
    'hakiri.toml': HAKIRI_TOML,
    'data/orders.csv': SAMPLE_ORDERS,
    'hakiri.schema.json': JSON.stringify(jsonSchema) + '\n',
    '.gitignore': '.hakiri/\n.env\nlake/\n',
  }
}
