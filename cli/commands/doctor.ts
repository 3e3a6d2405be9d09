/** `hakiri doctor`: this machine, the catalog, the buckets, the sources. */
import { access, constants, statfs } from 'node:fs/promises'
import type { Finding } from '../../connector/connector.ts'
import { HakiriError, toHakiriError } from '../../lib/error.ts'
import { formatBytes } from '../../lib/units.ts'
import type { CommandIo, CommandRun } from '../command.ts'
import { EXIT } from '../exit.ts'
import { openProject, type Project } from '../project.ts'
import { findingLine } from './connector.ts'

const FREE_BYTES_MIN = 1e9

type Section = { readonly name: string; readonly findings: readonly Finding[] }

export const doctor: CommandRun = async ({ globals }, io) => {
  const project = await openProject(globals, io)
  const sections = [
    await section('machine', () => machine(project)),
    await section('catalog', () => catalogFindings(project)),
    ...(await Promise.all(
      Object.keys(project.manifest.destinations).map((name) =>
        section(`destination ${name}`, () => store(project, name)),
      ),
    )),
    ...(await Promise.all(
      project
        .pipelines([])
        .map((pipeline) =>
          section(`source of ${pipeline.name}`, () => source(project, pipeline.name, io)),
        ),
    )),
  ]
  const errors = sections
    .flatMap((entry) => entry.findings)
    .filter((finding) => finding.severity === 'error').length
  return {
    result: sections.map((entry) => ({
      name: entry.name,
      findings: entry.findings.map((finding) => ({ ...finding })),
    })),
    summary: errors === 0 ? '✓ all well' : `✗ ${errors} problem(s)`,
    text: sections
      .map((entry) => `${entry.name}\n${entry.findings.map(findingLine).join('\n')}`)
      .join('\n'),
    exitCode: errors === 0 ? EXIT.done : EXIT.environment,
  }
}

/** A check that cannot be made is a finding, not the end of the doctor's round. */
async function section(name: string, look: () => Promise<readonly Finding[]>): Promise<Section> {
  try {
    return { name, findings: await look() }
  } catch (error) {
    const failure = toHakiriError(error, 'RUN_FAILED')
    const { message, suggestion } = failure
    return {
      name,
      findings: [
        {
          severity: 'error',
          message: `${failure.code}: ${message}`,
          ...(suggestion === undefined ? {} : { suggestion }),
        },
      ],
    }
  }
}

async function machine(project: Project): Promise<readonly Finding[]> {
  const folder = project.manifest.baseFolder
  await access(folder, constants.W_OK).catch((error: unknown) => {
    throw new HakiriError('DISK_FULL', `${folder} is not writable`, {
      cause: error,
      suggestion: 'Give this user write access to the project folder.',
    })
  })
  const disk = await statfs(folder)
  const free = disk.bavail * disk.bsize
  return [
    { severity: 'ok', message: `node ${process.version} on ${process.platform}-${process.arch}` },
    {
      severity: free < FREE_BYTES_MIN ? 'warn' : 'ok',
      message: `${formatBytes(free)} free in ${folder}`,
      ...(free < FREE_BYTES_MIN
        ? {
            suggestion: 'Batches wait on this disk before they are uploaded; give it 1 GB or more.',
          }
        : {}),
    },
  ]
}

async function catalogFindings(project: Project): Promise<readonly Finding[]> {
  await using catalog = await project.openCatalog()
  const [tables, shards] = [await catalog.tables(), await catalog.shards()]
  return [
    {
      severity: 'ok',
      message: `${catalog.label}: ${tables.length} table(s), ${shards.length} shard(s)`,
    },
  ]
}

async function store(project: Project, name: string): Promise<readonly Finding[]> {
  await using bucket = await project.openStore(project.destination(name))
  const probe = await bucket.probe()
  const words = {
    honoured: 'conditional PUT is honoured: a foreign writer would be noticed at once',
    ignored:
      'conditional PUT is ignored: safe for Hakiri alone, but a foreign writer would not be noticed at once',
    refused:
      'conditional PUT is refused: safe for Hakiri alone, but a foreign writer would not be noticed at once',
  }
  return [
    { severity: 'ok', message: `${bucket.url} answers` },
    {
      severity: probe.conditionalPut === 'honoured' ? 'ok' : 'warn',
      message: words[probe.conditionalPut],
    },
    ...probe.notes.map((message): Finding => ({ severity: 'ok', message })),
  ]
}

async function source(project: Project, name: string, io: CommandIo): Promise<readonly Finding[]> {
  const [pipeline] = project.pipelines([name])
  if (!pipeline) return []
  const connector = await project.connector(pipeline)
  return connector.check(project.connectorHost(pipeline)(io.stop, () => undefined, 1e6))
}
