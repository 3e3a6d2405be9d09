import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

const PKI = fileURLToPath(
  new URL('../../deploy/ansible/roles/hakiri_ca/files/pki.sh', import.meta.url),
)
const HOSTS = 'c1 c1,10.0.0.1\nw1 w1,fd00::1\n'

type Folder = {
  ensure(hosts?: string, renewDays?: number): string
  step(command: 'next' | 'adopt' | 'retire'): string
  read(name: string): Promise<string>
  write(name: string, text: string): Promise<void>
  move(from: string, to: string): Promise<void>
}

async function newFolder(t: ExecutionContext): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-pki-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const run = (args: readonly string[], input = ''): string =>
    execFileSync(PKI, args, { input, encoding: 'utf8' })
  return {
    ensure: (hosts = HOSTS, renewDays = 30) =>
      run(['ensure', folder, '3650', '397', String(renewDays)], hosts),
    step: (command) => run([command, folder, ...(command === 'next' ? ['3650'] : [])]),
    read: (name) => readFile(join(folder, name), 'utf8'),
    write: (name, text) => writeFile(join(folder, name), text),
    move: (from, to) => rename(join(folder, from), join(folder, to)),
  }
}

function authorities(bundle: string): readonly X509Certificate[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}

async function isTrusted(folder: Folder, host: string): Promise<boolean> {
  const certificate = new X509Certificate(await folder.read(`hosts/${host}/node.pem`))
  return authorities(await folder.read('trust.pem')).some(({ publicKey }) =>
    certificate.verify(publicKey),
  )
}

test('an authority and certificates are made once', async (t) => {
  const folder = await newFolder(t)
  t.is(folder.ensure().split('\n').length, 4)
  t.is(folder.ensure(), '')
  const certificate = new X509Certificate(await folder.read('hosts/c1/node.pem'))
  t.is(certificate.checkIP('10.0.0.1'), '10.0.0.1')
  t.is(certificate.checkHost('c1'), 'c1')
  t.regex(await folder.read('hosts/c1/node.pem'), /PRIVATE KEY/)
  t.true(await isTrusted(folder, 'w1'))
})

test('a certificate is made anew when its host moves, when it ends soon, and when it was cut off', async (t) => {
  const folder = await newFolder(t)
  folder.ensure()
  t.is(folder.ensure('c1 c1,10.0.0.9\nw1 w1,fd00::1\n'), 'made the certificate of c1\n')
  t.is(folder.ensure('w1 w1,fd00::1\n', 400), 'made the certificate of w1\n')
  await folder.write('hosts/w1/node.pem', '')
  t.is(folder.ensure('w1 w1,fd00::1\n'), 'made the certificate of w1\n')
})

test('an adoption that was cut off is finished', async (t) => {
  const folder = await newFolder(t)
  folder.ensure()
  folder.step('next')
  await folder.move('next.key', 'ca.key')
  t.is(folder.step('adopt'), 'adopted the next authority\n')
  t.is(folder.ensure(), 'made the certificate of c1\nmade the certificate of w1\n')
  t.true(await isTrusted(folder, 'c1'))
})

test('at each step of a rotation everybody trusts what everybody shows', async (t) => {
  const folder = await newFolder(t)
  folder.ensure()
  const before = await folder.read('hosts/c1/node.pem')
  t.is(folder.step('next'), 'made the next authority\n')
  t.is(authorities(await folder.read('trust.pem')).length, 2)
  t.true(await isTrusted(folder, 'c1'))
  t.is(folder.ensure(), '', 'the first authority signs until the second is trusted everywhere')
  t.is(folder.step('next'), '', 'a step that was taken is not taken twice')
  t.is(folder.step('adopt'), 'adopted the next authority\n')
  t.true(await isTrusted(folder, 'c1'))
  t.is(folder.step('next'), '', 'no third one while two are trusted')
  t.is(folder.ensure(), 'made the certificate of c1\nmade the certificate of w1\n')
  t.true(await isTrusted(folder, 'c1'))
  t.is(folder.step('retire'), 'the former authority is trusted no more\n')
  t.is(authorities(await folder.read('trust.pem')).length, 1)
  t.true(await isTrusted(folder, 'c1'))
  t.false(
    new X509Certificate(before).verify(authorities(await folder.read('trust.pem'))[0]!.publicKey),
  )
})
