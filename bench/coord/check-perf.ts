/** `etcdctl check perf`: the field's own verdict on a cluster. */
import { execFile } from 'node:child_process'
import type { BenchCluster } from './contenders.ts'

export type CheckPerf = { readonly passed: boolean; readonly lines: readonly string[] }

export function checkPerf(cluster: BenchCluster, load: 's' | 'm' | 'l'): Promise<CheckPerf> {
  const endpoints = cluster.members.map(({ endpoint }) => endpoint).join(',')
  return new Promise((resolve) => {
    execFile(
      'etcdctl',
      ['--endpoints', endpoints, 'check', 'perf', `--load=${load}`],
      { env: { ...process.env, ETCDCTL_API: '3' }, timeout: 180_000, maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        const lines = `${stdout}\n${stderr}`
          .split(/[\r\n]+/)
          .filter((line) => /PASS|FAIL/.test(line))
        resolve({ passed: !error && lines.at(-1) === 'PASS', lines })
      },
    )
  })
}
