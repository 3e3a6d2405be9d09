/**
 * The SQLite schema as numbered steps. A step that was released never changes; a new one expands
 * first (old code keeps working) and a later one contracts.
 */
import type { Migration } from '../migrate.ts'

export const SQLITE_MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    name: 'start',
    oldest: 1,
    sql: `
create table meta (key text primary key, value text not null) strict;

create table data_table (
  name text primary key,
  uuid text not null,
  destination text not null,
  mode text not null,
  key_columns text not null,
  partition_by text not null,
  generation integer not null,
  staging integer,
  generation_max integer not null,
  published_generation integer,
  schema_revision integer not null,
  published_revision integer,
  columns text not null,
  next_version integer not null,
  publish_epoch integer not null,
  created_at integer not null
) strict;

create table schema_revision (
  table_name text not null references data_table (name),
  revision integer not null,
  columns text not null,
  changes text not null,
  run_id integer,
  created_at integer not null,
  primary key (table_name, revision)
) strict;

create table schema_decision (
  id integer primary key autoincrement,
  table_name text not null,
  pipeline text not null,
  change text not null,
  change_hash text not null,
  status text not null check (status in ('pending', 'approved', 'denied')),
  created_at integer not null,
  unique (table_name, pipeline, change_hash)
) strict;

create table shard (
  pipeline text not null,
  shard text not null,
  table_name text not null,
  spec text,
  cursor text,
  seq integer not null default 0,
  epoch integer not null default 0,
  generation integer not null default 0,
  done integer not null default false,
  kept_cursor text,
  kept_generation integer not null default 0,
  kept_done integer not null default false,
  paused integer not null default false,
  upkeep integer not null default false,
  dropped integer not null default false,
  primary key (pipeline, shard)
) strict;
create index shard_by_table on shard (table_name);

create table shard_state (
  pipeline text not null,
  shard text not null,
  generation integer not null,
  key_hash text not null,
  key text not null,
  value text not null,
  primary key (pipeline, shard, generation, key_hash),
  foreign key (pipeline, shard) references shard (pipeline, shard)
) strict;

create table table_commit (
  id integer primary key autoincrement,
  table_name text not null references data_table (name),
  pipeline text not null,
  shard text not null,
  seq integer not null,
  epoch integer not null,
  run_id integer not null,
  generation integer not null,
  cursor text,
  done integer not null,
  data_change integer not null,
  files integer not null,
  fingerprint text not null,
  version integer,
  committed_at integer not null,
  unique (table_name, pipeline, shard, seq)
) strict;
create index table_commit_pending on table_commit (table_name, generation, id) where version is null;
create index table_commit_by_version on table_commit (table_name, version);

create table table_file (
  table_name text not null references data_table (name),
  path text not null,
  bytes integer not null,
  row_count integer not null,
  stats text not null,
  partition_values text not null,
  schema_revision integer not null,
  generation integer not null,
  pipeline text not null,
  shard text not null,
  commit_id integer,
  ordinal integer not null,
  version integer,
  removed_by integer,
  removed_version integer,
  removed_at integer,
  primary key (table_name, path)
) strict;
create index table_file_by_commit on table_file (commit_id);
create index table_file_by_remover on table_file (removed_by) where removed_by is not null;

create table table_txn (
  table_name text not null references data_table (name),
  pipeline text not null,
  shard text not null,
  seq integer not null,
  primary key (table_name, pipeline, shard)
) strict;

create table table_log (
  table_name text not null references data_table (name),
  version integer not null,
  body text not null,
  created_at integer not null,
  published_at integer,
  primary key (table_name, version)
) strict;

create table run (
  id integer primary key autoincrement,
  pipeline text not null,
  kind text not null,
  status text not null,
  worker text not null,
  started_at integer not null,
  ended_at integer,
  shards_total integer not null,
  shards_done integer not null default 0,
  shards_failed integer not null default 0,
  error text
) strict;
create index run_by_pipeline on run (pipeline, id);
create index run_running on run (worker) where status = 'running';

create table run_counter (
  run_id integer not null references run (id),
  slot integer not null,
  rows_read integer not null,
  rows_written integer not null,
  rows_quarantined integer not null,
  bytes_read integer not null,
  bytes_written integer not null,
  files integer not null,
  requests integer not null,
  not_modified integer not null,
  retries integer not null,
  primary key (run_id, slot)
) strict;

create table run_event (
  id integer primary key autoincrement,
  run_id integer not null references run (id),
  at integer not null,
  level text not null,
  shard text,
  kind text not null,
  message text not null,
  data text
) strict;
create index run_event_by_run on run_event (run_id, id);
`,
  },
  {
    id: 2,
    name: 'cluster',
    oldest: 1,
    sql: `
alter table migration add column oldest integer;

alter table shard add column quarantine text;
alter table shard add column failures integer not null default 0;
alter table shard add column holder text;
alter table shard add column weight integer not null default 0;

alter table table_commit add column fold_id integer;

alter table run add column trigger_kind text;
alter table run add column request text;
alter table run add column run_plan text;
alter table run add column epoch integer not null default 0;
alter table run add column scheduled_at integer;
alter table run add column manifest_version integer;
alter table run add column requested_by text;
alter table run add column fire_key text;
alter table run add column is_cancelled integer not null default false;
create unique index run_by_fire_key on run (fire_key) where fire_key is not null;
create index run_open on run (pipeline, id)
  where trigger_kind is not null and status in ('queued', 'running', 'finishing');

create table run_shard (
  run_id integer not null,
  pipeline text not null,
  shard text not null,
  table_name text not null,
  state text not null default 'pending',
  attempts integer not null default 0,
  next_at integer not null default 0,
  worker text,
  error text,
  failed_on text not null default '[]',
  primary key (run_id, shard)
) strict;
create index run_shard_pending on run_shard (pipeline, run_id, shard) where state = 'pending';

create table schedule (
  pipeline text primary key,
  scheduled_at integer
) strict;

create table run_event_2 (
  id integer primary key autoincrement,
  run_id integer references run (id),
  at integer not null,
  level text not null,
  shard text,
  kind text not null,
  message text not null,
  data text,
  pipeline text,
  worker text
) strict;
insert into run_event_2 (id, run_id, at, level, shard, kind, message, data)
  select id, run_id, at, level, shard, kind, message, data from run_event;
drop table run_event;
alter table run_event_2 rename to run_event;
create index run_event_by_run on run_event (run_id, id);
create index run_event_by_pipeline on run_event (pipeline, id) where pipeline is not null;

create table manifest (
  version integer primary key,
  document text not null,
  hash text not null,
  applied_at integer not null,
  applied_by text not null
) strict;

create table planner (
  id integer primary key,
  epoch integer not null,
  worker text not null
) strict;

create table placement (
  pipeline text not null,
  shard text not null,
  worker text,
  reason text,
  since integer not null,
  primary key (pipeline, shard)
) strict;

create table worker (
  name text primary key,
  address text not null,
  labels text not null,
  slots integer not null,
  version text not null,
  started_at integer not null,
  is_cordoned integer not null default false,
  is_present integer not null default false,
  seen_at integer not null
) strict;

create table rate_bucket (
  name text primary key,
  full_at integer not null
) strict;

create table api_token (
  name text primary key,
  scope text not null,
  hash text not null,
  created_at integer not null,
  created_by text not null,
  expires_at integer
) strict;
`,
  },
]
