import test from 'ava'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { embeddedText } from '../artifact/embedded.ts'
import { checkSettingsText } from './check-settings.ts'
import { carryOut, type Host, type Outcome } from './host.ts'
import { PATHS, type Role, unitName } from './layout.ts'
import { describeStep, planInstall, planUninstall } from './plan.ts'
import { settingsText } from './settings-text.ts'

const run = promisify(execFile)
const isRoot = process.getuid?.() === 0

/** A folder that is to become a host, and a program for it. */
async function emptyHost(t: { teardown(end: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-install-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const program = join(folder, 'program')
  await writeFile(program, 'one')
  const host: Host = { root: join(folder, 'root'), isRoot, hasSystemd: false }
  const plan = (role: Role) =>
    planInstall({
      role,
      program,
      unitText: embeddedText(`deploy/systemd/${unitName(role)}`),
      settingsText: settingsText(role, {}, undefined),
      start: true,
    })
  return { host, program, plan, at: (path: string) => join(host.root, path) }
}

const changes = (outcomes: readonly Outcome[]): readonly string[] =>
  outcomes.filter(({ isChanged }) => isChanged).map(({ what }) => what)

test('a dry run says every step and does none', async (t) => {
  const { host, plan, at } = await emptyHost(t)
  const outcomes = await carryOut(plan('coord'), host, true)
  t.deepEqual(changes(outcomes), plan('coord').map(describeStep))
  await t.throwsAsync(stat(at('/etc')))
})

test('installing makes what the table says, and a second time changes nothing', async (t) => {
  const { host, plan, at } = await emptyHost(t)
  await carryOut(plan('coord'), host, false)
  t.is(await readFile(at(PATHS.program), 'utf8'), 'one')
  t.is((await stat(at(PATHS.program))).mode & 0o7777, 0o755)
  t.is((await stat(at(PATHS.settings))).mode & 0o7777, 0o640)
  t.is((await stat(at(PATHS.state))).mode & 0o7777, 0o750)
  t.is(await readlink(at(PATHS.settingsLink)), PATHS.settings)
  t.is(
    await readFile(at(`${PATHS.units}/hakiri-coord.service`), 'utf8'),
    embeddedText('deploy/systemd/hakiri-coord.service'),
  )
  const { stdout } = await run('systemctl', [
    `--root=${host.root}`,
    'is-enabled',
    'hakiri-coord.service',
  ])
  t.is(stdout.trim(), 'enabled')
  t.deepEqual(
    changes(await carryOut(plan('coord'), host, false)),
    isRoot ? [] : ['user and group hakiri'],
  )
})

test('another program and another unit are put in place; settings that were changed stay', async (t) => {
  const { host, program, plan, at } = await emptyHost(t)
  await carryOut(plan('worker'), host, false)
  await writeFile(at(PATHS.settings), '# mine\n')
  await writeFile(program, 'two')
  await writeFile(at(`${PATHS.units}/hakiri-worker.service`), '[Unit]\n')
  const changed = changes(await carryOut(plan('worker'), host, false))
  t.true(changed.includes(PATHS.program))
  t.is(await readFile(at(PATHS.program), 'utf8'), 'two')
  t.is(await readFile(at(PATHS.settings), 'utf8'), '# mine\n')
  t.regex(await readFile(at(`${PATHS.units}/hakiri-worker.service`), 'utf8'), /ExecStart=/)
})

test('uninstalling keeps settings and data, and the program while another role wants it', async (t) => {
  const { host, plan, at } = await emptyHost(t)
  await carryOut(plan('coord'), host, false)
  await carryOut(plan('worker'), host, false)
  await carryOut(planUninstall({ roles: ['coord'], isLast: false, purge: false }), host, false)
  await t.throwsAsync(stat(at(`${PATHS.units}/hakiri-coord.service`)))
  t.is(await readFile(at(PATHS.program), 'utf8'), 'one')
  await carryOut(planUninstall({ roles: ['worker'], isLast: true, purge: false }), host, false)
  await t.throwsAsync(stat(at(PATHS.program)))
  t.true((await stat(at(PATHS.settings))).isFile())
  await carryOut(planUninstall({ roles: ['worker'], isLast: true, purge: true }), host, false)
  await t.throwsAsync(stat(at(PATHS.settingsFolder)))
  await t.throwsAsync(stat(at(PATHS.state)))
  const again = planUninstall({ roles: ['coord', 'worker'], isLast: true, purge: true })
  t.deepEqual(changes(await carryOut(again, host, false)), [])
})

test('flags become settings that the service takes', async (t) => {
  const coord = { bind: '0.0.0.0:7701', peers: 'c1:7701,c2:7701', insecure: true, quota: '64MiB' }
  const text = settingsText('coord', coord, undefined)
  t.regex(text, /^\[coord\]\nbind = "0\.0\.0\.0:7701"\npeers = \["c1:7701","c2:7701"\]$/m)
  t.regex(text, /^data = "\/var\/lib\/hakiri\/coord"$/m)
  await checkSettingsText('coord', text)
  const worker = {
    coord: 'c1:1,c2:2',
    coordTlsCa: '/etc/hakiri/ca.pem',
    slots: '4',
    labels: 'region=eu',
  }
  const other = settingsText('worker', worker, 'env:CATALOG')
  t.regex(other, /tls = \{ ca = "\/etc\/hakiri\/ca\.pem" \}/)
  await checkSettingsText('worker', other)
})

test('settings that a service would refuse are refused before anything is changed', async (t) => {
  await t.throwsAsync(
    checkSettingsText('coord', settingsText('coord', { bind: '0.0.0.0:7701' }, undefined)),
    { message: /no TLS/ },
  )
  await t.throwsAsync(
    checkSettingsText('worker', settingsText('worker', { slots: 'many' }, undefined)),
    { message: /slots/ },
  )
  t.throws(() => settingsText('worker', { peers: 'a:1' }, undefined), {
    message: /--peers is no setting of a worker/,
  })
})
