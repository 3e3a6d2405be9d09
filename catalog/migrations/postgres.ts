/**
 * The Postgres schema as numbered steps. A step that was released never changes; a new one expands
 * first (old code keeps working) and a later one contracts.
 */
import type { Migration } from '../migrate.ts'

export const POSTGRES_MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    name: 'start',
    oldest: 1,
    sql: `
create table meta (key text primary key, value text not null);

create table data_table (
  name text primary key,
  uuid text not null,
  destination text not null,
  mode text not null,
  key_columns json not null,
  partition_by json not null,
  generation bigint not null,
  staging bigint,
  generation_max bigint not null,
  published_generation bigint,
  schema_revision bigint not null,
  published_revision bigint,
  columns json not null,
  next_version bigint not null,
  publish_epoch bigint not null,
  created_at bigint not null
);

create table schema_revision (
  table_name text not null references data_table (name),
  revision bigint not null,
  columns json not null,
  changes json not null,
  run_id bigint,
  created_at bigint not null,
  primary key (table_name, revision)
);

create table schema_decision (
  id bigint generated always as identity primary key,
  table_name text not null,
  pipeline text not null,
  change json not null,
  change_hash text not null,
  status text not null check (status in ('pending', 'approved', 'denied')),
  created_at bigint not null,
  unique (table_name, pipeline, change_hash)
);

create table shard (
  pipeline text not null,
  shard text not null,
  table_name text not null,
  spec json,
  cursor json,
  seq bigint not null default 0,
  epoch bigint not null default 0,
  generation bigint not null default 0,
  done boolean not null default false,
  kept_cursor json,
  kept_generation bigint not null default 0,
  kept_done boolean not null default false,
  paused boolean not null default false,
  upkeep boolean not null default false,
  dropped boolean not null default false,
  primary key (pipeline, shard)
);
create index shard_by_table on shard (table_name);

create table shard_state (
  pipeline text not null,
  shard text not null,
  generation bigint not null,
  key_hash text not null,
  key text not null,
  value json not null,
  primary key (pipeline, shard, generation, key_hash),
  foreign key (pipeline, shard) references shard (pipeline, shard)
);

create table table_commit (
  id bigint generated always as identity primary key,
  table_name text not null references data_table (name),
  pipeline text not null,
  shard text not null,
  seq bigint not null,
  epoch bigint not null,
  run_id bigint not null,
  generation bigint not null,
  cursor json,
  done boolean not null,
  data_change boolean not null,
  files bigint not null,
  fingerprint text not null,
  version bigint,
  committed_at bigint not null,
  unique (table_name, pipeline, shard, seq)
);
create index table_commit_pending on table_commit (table_name, generation, id) where version is null;
create index table_commit_by_version on table_commit (table_name, version);

create table table_file (
  table_name text not null references data_table (name),
  path text not null,
  bytes bigint not null,
  row_count bigint not null,
  stats text not null,
  partition_values json not null,
  schema_revision bigint not null,
  generation bigint not null,
  pipeline text not null,
  shard text not null,
  commit_id bigint,
  ordinal bigint not null,
  version bigint,
  removed_by bigint,
  removed_version bigint,
  removed_at bigint,
  primary key (table_name, path)
);
create index table_file_by_commit on table_file (commit_id);
create index table_file_by_remover on table_file (removed_by) where removed_by is not null;

create table table_txn (
  table_name text not null references data_table (name),
  pipeline text not null,
  shard text not null,
  seq bigint not null,
  primary key (table_name, pipeline, shard)
);

create table table_log (
  table_name text not null references data_table (name),
  version bigint not null,
  body text not null,
  created_at bigint not null,
  published_at bigint,
  primary key (table_name, version)
);

create table run (
  id bigint generated always as identity primary key,
  pipeline text not null,
  kind text not null,
  status text not null,
  worker text not null,
  started_at bigint not null,
  ended_at bigint,
  shards_total bigint not null,
  shards_done bigint not null default 0,
  shards_failed bigint not null default 0,
  error text
);
create index run_by_pipeline on run (pipeline, id);
create index run_running on run (worker) where status = 'running';

create table run_counter (
  run_id bigint not null references run (id),
  slot bigint not null,
  rows_read bigint not null,
  rows_written bigint not null,
  rows_quarantined bigint not null,
  bytes_read bigint not null,
  bytes_written bigint not null,
  files bigint not null,
  requests bigint not null,
  not_modified bigint not null,
  retries bigint not null,
  primary key (run_id, slot)
);

create table run_event (
  id bigint generated always as identity primary key,
  run_id bigint not null references run (id),
  at bigint not null,
  level text not null,
  shard text,
  kind text not null,
  message text not null,
  data json
);
create index run_event_by_run on run_event (run_id, id);
`,
  },
  {
    id: 2,
    name: 'cluster',
    oldest: 1,
    sql: `
alter table migration add column oldest bigint;

alter table shard add column quarantine text;
alter table shard add column failures bigint not null default 0;
alter table shard add column holder text;
alter table shard add column weight bigint not null default 0;

alter table table_commit alter column id set generated by default;
alter table table_commit add column fold_id bigint;

alter table run add column trigger_kind text;
alter table run add column request json;
alter table run add column run_plan json;
alter table run add column epoch bigint not null default 0;
alter table run add column scheduled_at bigint;
alter table run add column manifest_version bigint;
alter table run add column requested_by text;
alter table run add column fire_key text;
alter table run add column is_cancelled boolean not null default false;
create unique index run_by_fire_key on run (fire_key) where fire_key is not null;
create index run_open on run (pipeline, id)
  where trigger_kind is not null and status in ('queued', 'running', 'finishing');

create table run_shard (
  run_id bigint not null,
  pipeline text not null,
  shard text not null,
  table_name text not null,
  state text not null default 'pending',
  attempts bigint not null default 0,
  next_at bigint not null default 0,
  worker text,
  error text,
  failed_on json not null default '[]',
  primary key (run_id, shard)
);
create index run_shard_pending on run_shard (pipeline, run_id, shard) where state = 'pending';

create table schedule (
  pipeline text primary key,
  scheduled_at bigint
);

alter table run_event alter column run_id drop not null;
alter table run_event add column pipeline text;
alter table run_event add column worker text;
create index run_event_by_pipeline on run_event (pipeline, id) where pipeline is not null;

create table manifest (
  version bigint primary key,
  document json not null,
  hash text not null,
  applied_at bigint not null,
  applied_by text not null
);

create table planner (
  id bigint primary key,
  epoch bigint not null,
  worker text not null
);

create table placement (
  pipeline text not null,
  shard text not null,
  worker text,
  reason text,
  since bigint not null,
  primary key (pipeline, shard)
);

create table worker (
  name text primary key,
  address text not null,
  labels json not null,
  slots bigint not null,
  version text not null,
  started_at bigint not null,
  is_cordoned boolean not null default false,
  is_present boolean not null default false,
  seen_at bigint not null
);

create table rate_bucket (
  name text primary key,
  full_at bigint not null
);

create table api_token (
  name text primary key,
  scope text not null,
  hash text not null,
  created_at bigint not null,
  created_by text not null,
  expires_at bigint
);
`,
  },
]
