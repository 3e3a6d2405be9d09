/** Checks of the sections beside pipelines. */
import { parseBytes } from '../lib/units.ts'
import { isWebAddress } from './check-source.ts'
import { checkCron } from './check-time.ts'
import { REFERENCE } from './inline-secrets.ts'
import type { RawDestination, RawManifest } from './schema.ts'
import type { Report } from './scope.ts'

export function checkCatalog(raw: RawManifest, report: Report): void {
  const url = raw.catalog?.url
  if (url === undefined || REFERENCE.test(url)) return
  if (/^sqlite:./.test(url) || /^postgres(ql)?:\/\/./.test(url)) return
  const suggestion =
    'Write "sqlite:.hakiri/catalog.db", "postgres://user@host/database" or a reference.'
  report(['catalog', 'url'], 'is not a catalog address', suggestion)
}

export function checkDestination(name: string, raw: RawDestination, report: Report): void {
  const path = ['destination', name]
  const isLiteral = !REFERENCE.test(raw.url) || raw.url.startsWith('file://')
  if (isLiteral) checkDestinationUrl([...path, 'url'], raw, report)
  if (raw.format !== undefined && raw.format !== 'delta') {
    const message = `format "${raw.format}" comes with a later version`
    report([...path, 'format'], message, 'Use "delta".', 'CONFIG_UNAVAILABLE')
  }
  if (raw.type === 'file') {
    const only = (['endpoint', 'credentials', 'region'] as const).find(
      (key) => raw[key] !== undefined,
    )
    if (only) report([...path, only], `${only} belongs to type = "s3"`, 'Remove it.')
  } else if (
    raw.endpoint !== undefined &&
    !REFERENCE.test(raw.endpoint) &&
    !isWebAddress(raw.endpoint)
  ) {
    report([...path, 'endpoint'], 'is not a web address', 'Write "https://host".')
  }
  const size = parseBytes(raw.files?.target_size ?? '192MB') ?? 0
  if (size < 1_000_000 || size > 2_000_000_000) {
    report([...path, 'files', 'target_size'], 'must be between 1MB and 2GB', 'Write "192MB".')
  }
  const cron = raw.files?.compact?.schedule
  if (cron !== undefined) checkCron([...path, 'files', 'compact', 'schedule'], cron, report)
}

function checkDestinationUrl(path: string[], raw: RawDestination, report: Report): void {
  const isBucket = /^s3:\/\/[^/]/.test(raw.url)
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(raw.url)?.[1]
  if (raw.type === 's3' && !isBucket) {
    report(path, 'is not a bucket address', 'Write "s3://bucket/prefix".')
  } else if (raw.type === 'file' && scheme === 's3') {
    report(path, 'is a bucket, but type is "file"', 'Use type = "s3".')
  } else if (raw.type === 'file' && scheme !== undefined) {
    report(path, `${scheme}:// is not a folder`, 'Write the path of the folder itself.')
  }
}

/** Sections that are checked, but that nothing of this version looks at. */
export function warnUnused(raw: RawManifest, warn: Report): void {
  if (raw.alerts)
    warn(
      ['alerts'],
      '[alerts] is checked, but not used by this version',
      'Leave it for later, or remove it.',
    )
}
