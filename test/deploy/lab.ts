/**
 * A data centre for one run: hosts that can be added, a bucket and an API elsewhere on the network, and a
 * control machine (this process) with Ansible, an inventory and the authority. `site` is done once.
 */
import { appendFileSync } from 'node:fs'
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCoordClient } from '../../coord/client/create.ts'
import type { CoordClient } from '../../coord/client/client.ts'
import { openCatalog } from '../../catalog/open.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { bucketSource } from '../support/bucket-source.ts'
import type { TableSource } from '../support/delta-reader.ts'
import { type GatedApi, startGatedApi } from '../support/gated-api.ts'
import { type S3Stub, startS3Stub } from '../support/s3-stub.ts'
import { type Host, makeHost, sshOptions } from './host.ts'
import { BUCKET, buildSwitch, SOURCE } from './network.ts'
import { startRelay } from './relay.ts'
import { run, type Ran } from './shell.ts'
import { manifestOf } from './team.ts'

export type Role = 'coord' | 'worker' | 'postgres'
export type Members = { readonly [role in Role]: readonly string[] }

export type Recap = {
  readonly seconds: number
  readonly changed: number
  readonly stdout: string
}

export type PlayOptions = {
  readonly extra?: Readonly<Record<string, unknown>>
  readonly limit?: string
  /** Another inventory than the one in force. */
  readonly members?: Members
}

export type Lab = AsyncDisposable & {
  readonly api: GatedApi
  readonly stub: S3Stub
  readonly folder: string
  readonly stop: AbortSignal
  members: Members
  /** The program that is rolled out. */
  artifact: string
  host(name: string): Host
  hosts(role: Role): readonly Host[]
  /** Makes and boots hosts of these names. */
  boot(names: readonly string[]): Promise<void>
  play(playbook: string, options?: PlayOptions): Promise<Recap>
  /** The command line on a host, as its administrator uses it. */
  hakiri(on: Host, args: string): Promise<Ran>
  catalog(): Promise<Catalog>
  client(attemptMs: number): Promise<CoordClient>
  table(): TableSource
  /** What a worker says about itself, asked with the token that the playbook made. */
  metrics(worker: string): Promise<string>
  note(text: string): void
}

export const PARTS = Array.from({ length: 12 }, (_, part) => String(part))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BUCKET_PORT = 9000
const SOURCE_PORT = 8080
const PLAY_MS = 900_000
const FIRST_ROWS = 300

export const FIRST_MEMBERS: Members = {
  coord: ['coord1', 'coord2', 'coord3'],
  worker: ['worker1', 'worker2'],
  postgres: ['db1'],
}

export async function openLab(artifact: string, stop: AbortSignal): Promise<Lab> {
  const folder = '/run/hakiri-deploy'
  await mkdir(folder, { recursive: true })
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1g', 'tmpfs', folder])
  await buildSwitch()
  const sshKeyFile = join(folder, 'key')
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', sshKeyFile])
  const cleaning = new AsyncDisposableStack()
  const api = cleaning.use(await startGatedApi(FIRST_ROWS))
  const stub = cleaning.use(await startS3Stub())
  cleaning.use(await startRelay(BUCKET, BUCKET_PORT, stub.endpoint))
  cleaning.use(await startRelay(SOURCE, SOURCE_PORT, api.url))
  await mkdir(join(folder, 'team'))
  await writeFile(
    join(folder, 'team/hakiri.toml'),
    manifestOf(`http://${BUCKET}:${BUCKET_PORT}`, `http://${SOURCE}:${SOURCE_PORT}`, PARTS),
  )
  const hosts = new Map<string, Host>()
  let address = 10
  let plays = 0
  const host = (name: string): Host => {
    const found = hosts.get(name)
    if (!found) throw new Error(`there is no host ${name}`)
    return found
  }
  const lab: Lab = {
    api,
    stub,
    folder,
    stop,
    members: FIRST_MEMBERS,
    artifact,
    host,
    hosts: (role) => lab.members[role].map(host),
    async boot(names) {
      const made = await Promise.all(
        names.map((name) =>
          makeHost({
            name,
            address: `10.77.0.${++address}`,
            folder: join(folder, 'hosts'),
            sshKeyFile,
          }),
        ),
      )
      for (const each of made) hosts.set(each.name, each)
      await Promise.all(made.map((each) => each.boot()))
    },
    async play(playbook, { extra = {}, limit, members = lab.members } = {}) {
      await writeInventory(folder, members, host, sitewide(lab))
      const started = performance.now()
      const log = join(folder, `play-${++plays}.log`)
      const result = await run(
        'ansible-playbook',
        [
          '-i',
          join(folder, 'inventory'),
          join(ROOT, 'deploy/ansible', playbook),
          ...(limit === undefined ? [] : ['--limit', limit]),
          '--extra-vars',
          JSON.stringify(extra),
        ],
        {
          cwd: ROOT,
          env: {
            ANSIBLE_CONFIG: join(folder, 'ansible.cfg'),
            LC_ALL: 'C.UTF-8',
            ANSIBLE_NOCOLOR: '1',
          },
          timeoutMs: PLAY_MS,
          codes: [0, 1, 2, 3, 4, 8, 250],
          // Piece by piece, so that a play that hangs shows where.
          onOutput: (text) => appendFileSync(log, text),
        },
      )
      const seconds = (performance.now() - started) / 1000
      await appendFile(log, result.stderr)
      if (result.code !== 0)
        throw new Error(
          `${playbook} ended with ${result.code}\n${endOf(result.stdout)}\n${endOf(result.stderr)}`,
        )
      const changed = changedIn(result.stdout)
      lab.note(`${playbook}: ${seconds.toFixed(1)} s, changed ${changed}`)
      return { seconds, changed, stdout: result.stdout }
    },
    hakiri: (on, args) =>
      on.ssh(
        `set -a; . /etc/hakiri/worker.env; cd /var/lib/hakiri; exec setpriv --reuid=hakiri --regid=hakiri --init-groups /usr/local/bin/hakiri ${args}`,
      ),
    async catalog() {
      const url = new URL(
        `postgres://hakiri@${host(lab.members.postgres[0] ?? '').address}:5432/hakiri`,
      )
      const pki = join(folder, 'pki')
      url.searchParams.set('sslmode', 'verify-full')
      url.searchParams.set('sslrootcert', join(pki, 'trust.pem'))
      url.searchParams.set('sslcert', join(pki, 'hosts/operator/node.pem'))
      url.searchParams.set('sslkey', join(pki, 'hosts/operator/node.pem'))
      return openCatalog(url.href, { clock: systemClock, random: systemRandom })
    },
    async client(attemptMs) {
      const identity = await readFile(join(folder, 'pki/hosts/operator/node.pem'))
      const ca = await readFile(join(folder, 'pki/trust.pem'))
      return createCoordClient(
        {
          endpoints: lab.hosts('coord').map((each) => `${each.address}:7701`),
          tls: { ca, cert: identity, key: identity },
          attemptMs,
          readMs: 5_000,
        },
        { clock: systemClock, random: systemRandom, logger: silentLogger },
      )
    },
    table: () => bucketSource(stub, 'lake', 'lake/shop/events/'),
    async metrics(worker) {
      const token = (await readFile(join(folder, 'pki/token-ansible'), 'utf8')).trim()
      const response = await fetch(`http://${host(worker).address}:7700/metrics`, {
        headers: { authorization: `Bearer ${token}` },
      })
      if (!response.ok) throw new Error(`${worker} answered ${response.status}`)
      return response.text()
    },
    note: (text) => console.log(`  ${text}`),
    [Symbol.asyncDispose]: () => cleaning[Symbol.asyncDispose](),
  }
  await writeConfig(folder)
  return lab
}

function sitewide({ artifact, folder, stub }: Lab): Readonly<Record<string, unknown>> {
  return {
    hakiri_artifact: artifact,
    hakiri_ca_folder: join(folder, 'pki'),
    hakiri_ca_others: ['operator'],
    hakiri_worker_bind: '{{ hakiri_address }}',
    hakiri_worker_manifest: join(folder, 'team/'),
    hakiri_worker_settings: { session_ttl: '5s', slots: 4, memory: '128MB' },
    hakiri_environment: {
      LAKE_ACCESS_KEY_ID: stub.credentials.accessKeyId,
      LAKE_SECRET_ACCESS_KEY: stub.credentials.secretAccessKey,
    },
  }
}

async function writeInventory(
  folder: string,
  members: Members,
  host: (name: string) => Host,
  vars: Readonly<Record<string, unknown>>,
): Promise<void> {
  const group = (names: readonly string[]): unknown => ({
    hosts: Object.fromEntries(names.map((name) => [name, { ansible_host: host(name).address }])),
  })
  const inventory = {
    all: {
      children: {
        coord: group(members.coord),
        worker: group(members.worker),
        postgres: group(members.postgres),
      },
      vars: { ansible_user: 'root', ansible_ssh_private_key_file: join(folder, 'key'), ...vars },
    },
  }
  await rm(join(folder, 'inventory'), { recursive: true, force: true })
  await mkdir(join(folder, 'inventory'))
  // YAML knows JSON.
  await writeFile(join(folder, 'inventory/hosts.yml'), JSON.stringify(inventory, undefined, 2))
}

async function writeConfig(folder: string): Promise<void> {
  const options = sshOptions('').slice(2).join(' ')
  await writeFile(
    join(folder, 'ansible.cfg'),
    [
      '[defaults]',
      'forks = 10',
      'interpreter_python = /usr/bin/python3',
      `roles_path = ${join(ROOT, 'deploy/ansible/roles')}`,
      `local_tmp = ${join(folder, 'ansible')}`,
      'host_key_checking = False',
      'callbacks_enabled = ansible.posix.profile_tasks',
      '[ssh_connection]',
      'pipelining = True',
      `control_path_dir = ${join(folder, 'ssh')}`,
      `ssh_args = -o ControlMaster=auto -o ControlPersist=120s ${options}`,
      '',
    ].join('\n'),
  )
}

/** Over all hosts, as the recap says. */
function changedIn(stdout: string): number {
  const recap = stdout.slice(stdout.lastIndexOf('PLAY RECAP'))
  const counts = [...recap.matchAll(/changed=(\d+)/g)].map(([, count]) => Number(count))
  if (counts.length === 0) throw new Error(`no recap:\n${endOf(stdout)}`)
  return counts.reduce((sum, count) => sum + count, 0)
}

function endOf(text: string): string {
  return text.slice(-6_000)
}
