/**
 * The tables that the Postgres source holds, and who changes them while they are read.
 *
 * What a cursor promises is kept by writing alone: each change takes one lock for the length of its
 * transaction, and reads where the last one ended only when it has it. So the transaction with the higher
 * ids, or the later `updated_at`, is also the one that becomes visible later, and a reader that has seen
 * it has seen all before; even when a connection broke and its transaction goes on without it.
 */
import type { Clock } from '../../../lib/ports.ts'
import { query } from './host-postgres.ts'

/** These accounts are never deleted: every version of their table has each of them. */
export const PERMANENT_ACCOUNTS = 300
const TICKETS_FIRST = 900
const LEDGER_FIRST = 1_200

const LEDGER_ROW = `id, (id * 37) % 64, case when id % 13 = 0 then null else
  (array['plain', 'a "quoted", word', E'two\\nlines', 'Größe 名前 🐘', E'\\\\N\\t', ''])[1 + id % 6] || id end,
  (id * 7919 % 10000000)::numeric / 100, id % 3 = 0, clock_timestamp(), (id % 1000) + 0.25`

const SETUP = `
create table ledger (
  id bigint primary key, slot int not null, note text, amount numeric(12,2) not null,
  flag boolean not null, at timestamptz not null, ratio float8 not null);
create index on ledger (slot, id);
create table tickets (
  id bigint primary key, rev int not null, title text, price numeric(10,2) not null,
  updated_at timestamptz not null);
create index on tickets (updated_at, id);
create table accounts (id bigint primary key, owner text not null, balance bigint not null, note text);
insert into ledger select ${LEDGER_ROW} from generate_series(1, ${LEDGER_FIRST}) as id;
insert into tickets select id, 0, 'ticket ' || id, id, clock_timestamp()
  from generate_series(1, ${TICKETS_FIRST}) as id;
insert into accounts select id, 'owner ' || id, 1000, null
  from generate_series(1, ${PERMANENT_ACCOUNTS}) as id;
analyze;
`

/** Makes the tables, with rows enough to be cut into ranges. */
export async function createSources(url: string): Promise<void> {
  await query(url, SETUP)
}

const LOCK = 'select pg_advisory_xact_lock(4711)'

/** Further rows, after the last one. */
export function growLedger(rows: number): string {
  const last = '(select max(id) from ledger)'
  return `insert into ledger select ${LEDGER_ROW} from generate_series(${last} + 1, ${last} + ${rows}) as id`
}

/** A few tickets get a new state, all at one moment after every other; now and then there is a new one. */
export function touchTickets(ids: readonly number[], isNew: boolean): string {
  const moment = `greatest(clock_timestamp(), (select max(updated_at) from tickets) + interval '1 microsecond')`
  const added = isNew
    ? `insert into tickets select max(id) + 1, 0, 'a new ticket', 1, ${moment} from tickets; `
    : ''
  return `${added}update tickets set rev = rev + 1, price = price + 0.01, updated_at = ${moment},
    title = case when rev % 5 = 4 then null else 'ticket ' || id || ' "' || rev || '"' end
    where id in (${ids.join(', ')})`
}

/** Money moves; an account that is not permanent opens and another one closes. */
export function moveAccounts(from: number, to: number, amount: number): string {
  const last = '(select max(id) from accounts)'
  return `update accounts set balance = balance - ${amount}, note = 'gave ' || ${amount} where id = ${from};
    update accounts set balance = balance + ${amount}, note = null where id = ${to};
    insert into accounts values (${last} + 1, 'a guest', 0, null);
    delete from accounts where id > ${PERMANENT_ACCOUNTS} and id < ${last} - 50`
}

export type Writers = AsyncDisposable & {
  /** Resolves when nothing is being written any more. */
  stop(): Promise<void>
  /** Transactions that were confirmed, and attempts that failed. */
  readonly done: () => { readonly written: number; readonly failed: number }
}

export type WritersOptions = {
  readonly url: string
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly ledgerRowsPerS: number
  readonly ticketsPerS: number
}

const TICK_MS = 200

/** Changes the tables until it is stopped; goes on whenever the server is back. */
export function startWriters(options: WritersOptions): Writers {
  const stopping = new AbortController()
  const count = { written: 0, failed: 0 }
  const write = async (): Promise<void> => {
    try {
      await query(options.url, `begin; ${LOCK}; ${nextChange(options)}; commit`)
      count.written += 1
    } catch {
      // Unknown outcome or a server that is away: the next change begins where the table ends.
      count.failed += 1
    }
  }
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await write()
      await options.clock.sleep(TICK_MS, stopping.signal).catch(() => undefined)
    }
  }
  const running = run()
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  return { stop, done: () => count, [Symbol.asyncDispose]: stop }
}

function nextChange({ random, ledgerRowsPerS, ticketsPerS }: WritersOptions): string {
  const perTick = (perS: number): number => Math.max(1, Math.round((perS * TICK_MS) / 1_000))
  const pick = (most: number): number => 1 + Math.floor(random() * most)
  const tickets = Array.from({ length: perTick(ticketsPerS) }, () => pick(TICKETS_FIRST))
  return [
    growLedger(perTick(ledgerRowsPerS)),
    touchTickets(tickets, random() < 0.1),
    moveAccounts(pick(PERMANENT_ACCOUNTS), pick(PERMANENT_ACCOUNTS), pick(100)),
  ].join('; ')
}
