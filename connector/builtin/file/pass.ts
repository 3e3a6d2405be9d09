/**
 * One pass over the files of a shard, in order of their names: new files are read, files that were read
 * are left alone, grown ones are read on, changed ones are refused or read again.
 *
 * Inside a pass the cursor says which files are done (all up to its name); between passes the state
 * does, file by file, so that a file with an early name that comes late is not missed.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { SourceColumn } from '../../../lib/column.ts'
import type { Json } from '../../../lib/json.ts'
import type { ConnectorContext, OpenRequest, SourceEvent } from '../../connector.ts'
import type { FileConfig } from './config.ts'
import type { FileEntry } from './locate.ts'
import {
  END,
  readPlace,
  readState,
  stateKey,
  writeBehind,
  writeState,
  type Place,
  type Progress,
} from './place.ts'
import { compareFile, isFresh, readFile } from './read-file.ts'

export type PassJob = {
  readonly config: FileConfig
  readonly context: ConnectorContext
  readonly request: OpenRequest
  /** In order of their names. */
  readonly entries: readonly FileEntry[]
}

/** Events of all rows that the cursor and state do not cover. */
export async function* readPass(job: PassJob): AsyncGenerator<SourceEvent, void, undefined> {
  const { request, entries, context } = job
  if (request.mode.kind === 'range') {
    throw new HakiriError('CONFIG_INVALID', 'a file source cannot read a range of values', {
      suggestion: 'Reset the state of the files in question, or run with --full-refresh.',
    })
  }
  const place = readPlace(request.cursor)
  if (place.kind === 'end' && request.mode.kind === 'full') return
  checkPresent(place, job)
  let announced: readonly SourceColumn[] | undefined
  for (const entry of entries) {
    context.signal.throwIfAborted()
    const step = await decide(job, place, entry)
    if (step.kind === 'skip') continue
    if (step.kind === 'note') {
      yield behind(entry.name, step.progress)
      continue
    }
    const end = yield* readFile({ ...job, entry, left: step.left, announced })
    announced = end.announced
    if (end.progress.unfinished) warnUnfinished(entry, context)
    yield behind(entry.name, end.progress)
  }
  yield { kind: 'progress', cursor: END }
}

function behind(file: string, progress: Progress): SourceEvent {
  const state: { readonly [key: string]: Json } = { [stateKey(file)]: writeState(progress) }
  return { kind: 'progress', cursor: writeBehind(file), state }
}

/** A file that is gone before it was read to its end is lost: that may not pass for its end. */
function checkPresent(place: Place, { entries, request }: PassJob): void {
  const own = (request.shard.spec as { readonly file?: Json }).file
  const wanted = place.kind === 'within' ? place.file : place.kind === 'start' ? own : undefined
  if (typeof wanted !== 'string' || entries.some(({ name }) => name === wanted)) return
  if (place.kind === 'start' && readState(request.state[stateKey(wanted)])) return
  const rows = place.kind === 'within' ? place.progress.rows : 0
  throw new HakiriError('SOURCE_CHANGED', `${wanted} is gone after ${rows} of its rows were read`, {
    suggestion: 'Bring the file back, or let it go with `hakiri state reset`.',
  })
}

type Step =
  | { readonly kind: 'skip' }
  /** Nothing to read, but the file has a new version or time. */
  | { readonly kind: 'note'; readonly progress: Progress }
  | { readonly kind: 'read'; readonly left: Progress | undefined }

async function decide(job: PassJob, place: Place, entry: FileEntry): Promise<Step> {
  const { request, context, config } = job
  if (place.kind === 'behind' && entry.name <= place.file) return { kind: 'skip' }
  if (place.kind === 'within' && entry.name < place.file) return { kind: 'skip' }
  const isHere = place.kind === 'within' && entry.name === place.file
  const left = isHere ? place.progress : readState(request.state[stateKey(entry.name)])
  if (!left) return { kind: 'read', left: undefined }
  const since = await compareFile({ config, context, entry }, left, !isHere)
  switch (since.kind) {
    case 'same':
      if (isHere || (left.unfinished && !isFresh(entry, context))) return { kind: 'read', left }
      if (entry.version === left.version) return { kind: 'skip' }
      return { kind: 'note', progress: { ...left, bytes: entry.bytes, version: entry.version } }
    case 'grown':
      return { kind: 'read', left }
    case 'changed':
      if (config.changed === 'reread') return { kind: 'read', left: undefined }
      throw changedSince(entry, since.how)
  }
}

function changedSince(entry: FileEntry, how: string): HakiriError {
  return new HakiriError('SOURCE_CHANGED', `${entry.name} ${how} after it was read`, {
    suggestion:
      'Give every version of a file its own name, merge by key with write mode "upsert", or run with --full-refresh.',
  })
}

function warnUnfinished(entry: FileEntry, context: ConnectorContext): void {
  context.logger.log('warn', 'the last row of a file is unfinished and left for the next run', {
    file: entry.name,
  })
}
