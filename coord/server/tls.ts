/**
 * Certificate, key and CA bundle of this member, read anew when their files change. Files that do not
 * fit together are refused with a line in the log, and what was good stays in use.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import { HakiriError } from '../../lib/error.ts'
import type { Logger, Scheduler } from '../../lib/ports.ts'

export type TlsFiles = { readonly cert: string; readonly key: string; readonly ca?: string }

export type TlsMaterial = {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca: Buffer | undefined
}

export type TlsSource = Disposable & {
  current(): TlsMaterial
  /** Called after `current` has changed. */
  onChange(listener: () => void): Disposable
}

export type TlsParts = {
  readonly files: TlsFiles
  readonly scheduler: Scheduler
  readonly logger: Logger
  /** How often the files are looked at, whatever the system says about changes. */
  readonly pollMs?: number
}

const POLL_MS = 10_000

/** Reads and checks the files; throws a HakiriError when they are no good to begin with. */
export async function openTls(parts: TlsParts): Promise<TlsSource> {
  const { files, scheduler, logger } = parts
  let material = await readMaterial(files)
  let refused = ''
  const listeners = new Set<() => void>()
  const look = async (): Promise<void> => {
    try {
      const next = await readMaterial(files)
      refused = ''
      if (isSame(material, next)) return
      material = next
      logger.log('info', 'certificates read anew', { until: validTo(next) })
      for (const listener of listeners) listener()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== refused)
        logger.log('error', 'new certificates are no good; the old ones stay', { reason })
      refused = reason
    }
  }
  const looking = oneAtATime(look)
  const watchers = watchFolders(files, looking)
  const poll = scheduler.every(parts.pollMs ?? POLL_MS, looking)
  return {
    current: () => material,
    onChange: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]: () => {
      poll[Symbol.dispose]()
      for (const watcher of watchers) watcher.close()
      listeners.clear()
    },
  }
}

/** A change that comes while the files are being read is looked at afterwards. */
function oneAtATime(work: () => Promise<void>): () => void {
  let state: 'idle' | 'running' | 'again' = 'idle'
  const run = (): void => {
    if (state !== 'idle') {
      state = 'again'
      return
    }
    state = 'running'
    const next = (): void => {
      const isAgain = state === 'again'
      state = 'idle'
      if (isAgain) run()
    }
    work().then(next, next)
  }
  return run
}

/** Folders, since files are often replaced by renaming or by a link that turns to another folder. */
function watchFolders(files: TlsFiles, changed: () => void): FSWatcher[] {
  const paths = [files.cert, files.key, ...(files.ca === undefined ? [] : [files.ca])]
  return [...new Set(paths.map((path) => dirname(path)))].flatMap((folder) => {
    try {
      const watcher = watch(folder, { persistent: false }, changed)
      // Polling goes on without it.
      watcher.on('error', () => watcher.close())
      return [watcher]
    } catch {
      return []
    }
  })
}

async function readMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    read(files.cert),
    read(files.key),
    files.ca === undefined ? undefined : read(files.ca),
  ])
  const certificate = parse(files.cert, 'certificate', () => new X509Certificate(cert))
  const privateKey = parse(files.key, 'private key', () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey))
    throw invalid(`the key in ${files.key} does not belong to the certificate in ${files.cert}`)
  if (ca !== undefined && files.ca !== undefined) checkBundle(files.ca, ca)
  parse(files.cert, 'certificate chain', () => createSecureContext({ cert, key }))
  return { cert, key, ca }
}

/** The library takes what it can read of a bundle and says nothing of the rest. */
function checkBundle(path: string, ca: Buffer): void {
  const blocks = ca
    .toString('latin1')
    .match(/-----BEGIN CERTIFICATE-----[^-]*(-----END CERT\w*-----)?/g)
  if (!blocks) throw invalid(`${path} holds no certificate`)
  for (const block of blocks) parse(path, 'CA certificate', () => new X509Certificate(block))
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw invalid(`${path} cannot be read: ${error instanceof Error ? error.message : ''}`, error)
  }
}

function parse<T>(path: string, what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw invalid(`${path} holds no valid ${what}: ${reason}`, error)
  }
}

function invalid(message: string, cause?: unknown): HakiriError {
  return new HakiriError('CONFIG_INVALID', message, cause === undefined ? {} : { cause })
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  const isSameCa = a.ca && b.ca ? a.ca.equals(b.ca) : a.ca === b.ca
  return a.cert.equals(b.cert) && a.key.equals(b.key) && isSameCa
}

function validTo({ cert }: TlsMaterial): string {
  return new X509Certificate(cert).validTo
}
