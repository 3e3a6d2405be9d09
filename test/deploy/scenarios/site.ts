/** From bare hosts to a cluster that pulls, twice. */
import { type Lab, PARTS } from '../lab.ts'
import { auditTable } from '../audit.ts'
import { isWhole } from '../health.ts'
import { runOnce } from '../load.ts'
import { expect, type Figures, type Scenario } from '../scenario.ts'

export const site: Scenario = {
  name: 'site',
  claims: 'site.yml makes a cluster of bare hosts, and a second run changes nothing',
  async run(lab, figures) {
    await setUp(lab, figures)
    const second = await lab.play('site.yml')
    figures.record('site.yml, second time, s', second.seconds)
    expect(
      second.changed === 0,
      `the second run changed ${second.changed}\n${second.stdout.slice(-8_000)}`,
    )
    await checkDoors(lab)
  },
}

/** Bare hosts become a cluster that has pulled once: where every other scenario starts. */
export async function setUp(lab: Lab, figures: Figures): Promise<void> {
  await lab.boot(Object.values(lab.members).flat())
  await checkPowerCut(lab)
  const started = performance.now()
  const first = await lab.play('site.yml')
  const catalog = await lab.catalog()
  await runOnce(catalog)
  await catalog[Symbol.asyncDispose]()
  figures.record('bare hosts to the end of the first run, s', (performance.now() - started) / 1000)
  figures.record('site.yml, first time, s', first.seconds)
  const { rows } = await auditTable(lab.table(), PARTS, lab.api.rows)
  lab.note(`${rows} rows, lost 0, doubled 0`)
}

/** Each a hand that went astray on one host, and what shows that it was put right. */
const DAMAGES = [
  {
    what: 'a bit of the program flipped, size and time as they were',
    on: 'coord1',
    harm: [
      'cp --preserve=all /usr/local/bin/hakiri /usr/local/bin/other',
      'printf x | dd of=/usr/local/bin/other bs=1 seek=5000000 conv=notrunc status=none',
      'touch --reference=/usr/local/bin/hakiri /usr/local/bin/other',
      'mv /usr/local/bin/other /usr/local/bin/hakiri',
    ],
    look: 'sha256sum /usr/local/bin/hakiri',
  },
  {
    what: 'the program not executable',
    on: 'worker1',
    harm: ['chmod 0644 /usr/local/bin/hakiri'],
    look: 'stat -c %a /usr/local/bin/hakiri',
  },
  {
    what: 'a private key that everybody may read',
    on: 'coord2',
    harm: ['chmod 0644 /etc/hakiri/tls/node.pem'],
    look: 'stat -c %a:%U:%G /etc/hakiri/tls/node.pem',
  },
  {
    what: 'a private key of another owner',
    on: 'worker1',
    harm: ['chown nobody /etc/hakiri/tls/node.pem'],
    look: 'stat -c %a:%U:%G /etc/hakiri/tls/node.pem',
  },
  {
    what: 'a setting removed',
    on: 'coord3',
    harm: ['sed -i /^client_auth/d /etc/hakiri/hakiri.toml'],
    look: 'sha256sum /etc/hakiri/hakiri.toml',
  },
  {
    what: 'the environment gone',
    on: 'worker2',
    harm: ['rm /etc/hakiri/worker.env'],
    look: 'sha256sum /etc/hakiri/worker.env',
  },
  {
    what: 'a unit edited',
    on: 'worker2',
    harm: ['sed -i s/^NoNewPrivileges=.*// /etc/systemd/system/hakiri-worker.service'],
    look: 'sha256sum /etc/systemd/system/hakiri-worker.service',
  },
] as const

export const drift: Scenario = {
  name: 'drift',
  claims: 'site.yml puts right what was changed on hosts by hand, and restarts nobody for it',
  async run(lab) {
    const look = (): Promise<readonly string[]> =>
      Promise.all(
        DAMAGES.map(async (each) =>
          (await lab.host(each.on).ssh(`${each.look} 2>&1; true`)).stdout.trim(),
        ),
      )
    const good = await look()
    const started = await startTimes(lab)
    for (const { harm, on } of DAMAGES) await lab.host(on).ssh(['set -e', ...harm].join('\n'))
    const harmed = await look()
    DAMAGES.forEach(({ what }, index) =>
      expect(harmed[index] !== good[index], `no harm was done: ${what}`),
    )
    await lab.play('site.yml')
    const healed = await look()
    DAMAGES.forEach(({ on, what }, index) =>
      expect(
        healed[index] === good[index],
        `${on}, ${what}: ${healed[index]} where ${good[index]} was`,
      ),
    )
    expect((await startTimes(lab)) === started, 'a service was restarted')
    await isWhole(lab)
    const again = await lab.play('site.yml')
    expect(again.changed === 0, `afterwards site.yml changed ${again.changed}`)
  },
}

async function startTimes(lab: Lab): Promise<string> {
  const show = 'systemctl show --property ExecMainStartTimestampMonotonic "hakiri-*.service"'
  const hosts = [...lab.hosts('coord'), ...lab.hosts('worker')]
  return (await Promise.all(hosts.map((host) => host.ssh(show)))).map((one) => one.stdout).join()
}

/** What was not synced when the power went is gone, or a cut would prove nothing. */
async function checkPowerCut(lab: Lab): Promise<void> {
  const [host] = lab.hosts('worker')
  expect(host !== undefined, 'no worker')
  await host.ssh('cd /var/lib/hakiri; touch kept; sync; touch lost')
  await host.cutPower()
  await host.boot()
  const { stdout } = await host.ssh('cd /var/lib/hakiri; ls kept lost 2>/dev/null; rm -f kept', {
    codes: [0],
  })
  expect(stdout === 'kept\n', `after a power cut there is: ${stdout}`)
}

/** Nothing answers who has no certificate or token; no secret can be read by others. */
async function checkDoors(lab: Lab): Promise<void> {
  const [coord] = lab.hosts('coord')
  const [worker] = lab.hosts('worker')
  if (!coord || !worker) throw new Error('no hosts')
  const plain = await worker.ssh(`curl -sk -m 5 https://${coord.address}:7701/version`, {
    codes: [0, ...FAILED],
  })
  expect(plain.code !== 0, `a coordinator answered without a certificate: ${plain.stdout}`)
  const open = await coord.ssh(
    `curl -s -m 5 -o /dev/null -w '%{http_code}' http://${worker.address}:7700/v1/shards`,
  )
  expect(open.stdout === '401', `the API answered ${open.stdout} without a token`)
  const secrets = await worker.ssh('find /etc/hakiri /var/lib/hakiri -perm /o+rwx ! -type l')
  expect(secrets.stdout === '', `others may use ${secrets.stdout}`)
}

/** What curl ends with when nobody answers, or not to us. */
const FAILED = [7, 16, 28, 35, 52, 55, 56]
