/** What is inside the artifacts, as an SPDX 2.3 document: the runtime, and every package of which a part is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'
import { bundleProfile, ROOT } from './bundle.ts'
import { lockedPackage } from './packages.ts'
import {
  ADD_ON_FILES,
  type Profile,
  PROFILE_FACTS,
  RUNTIME_PACKAGE,
  type Target,
} from './profiles.ts'

export type Made = { readonly profile: Profile; readonly target: Target; readonly sha256: string }

/** The time of a build would make every document different; SPDX wants one all the same. */
const CREATED = '1970-01-01T00:00:00Z'

export async function sbom(made: readonly Made[]): Promise<string> {
  const { version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly version: string
    readonly license: string
  }
  const contents = await Promise.all(made.map(async (one) => [one, await packagesIn(one)] as const))
  const names = [...new Set(contents.flatMap(([, inside]) => inside))].toSorted()
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `hakiri-${version}`,
    documentNamespace: `urn:hakiri:${version}:${made.map(({ sha256 }) => sha256.slice(0, 12)).join('-')}`,
    creationInfo: { created: CREATED, creators: ['Tool: hakiri-package'] },
    packages: [
      ...made.map((one) => ({
        SPDXID: idOf(fileName(one)),
        name: fileName(one),
        versionInfo: version,
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        licenseConcluded: license,
        checksums: [{ algorithm: 'SHA256', checksumValue: one.sha256 }],
      })),
      ...names.map(packageEntry),
    ],
    relationships: [
      ...made.map((one) => relation('SPDXRef-DOCUMENT', 'DESCRIBES', idOf(fileName(one)))),
      ...contents.flatMap(([one, inside]) =>
        inside.map((name) => relation(idOf(fileName(one)), 'CONTAINS', idOf(name))),
      ),
    ],
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

async function packagesIn({ profile, target }: Made): Promise<readonly string[]> {
  const { inputs } = await bundleProfile(profile)
  const native = PROFILE_FACTS[profile].addOns.map((addOn) => ADD_ON_FILES[target][addOn].package)
  return [...new Set([RUNTIME_PACKAGE[target], ...native, ...bundledPackages(inputs)])].toSorted()
}

/** Of paths such as node_modules/@grpc/grpc-js/build/src/client.js the package. */
export function bundledPackages(inputs: Metafile['inputs']): readonly string[] {
  const names = Object.keys(inputs).flatMap(
    (path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  )
  return [...new Set(names)]
}

function packageEntry(name: string) {
  const { version, integrity, license } = lockedPackage(name)
  const [algorithm = '', sum = ''] = integrity.split(/-(.*)/s)
  return {
    SPDXID: idOf(name),
    name,
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: license ?? 'NOASSERTION',
    checksums: [
      {
        algorithm: algorithm.toUpperCase(),
        checksumValue: Buffer.from(sum, 'base64').toString('hex'),
      },
    ],
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      },
    ],
  }
}

function relation(from: string, kind: 'CONTAINS' | 'DESCRIBES', to: string) {
  return { spdxElementId: from, relationshipType: kind, relatedSpdxElement: to }
}

function fileName({ profile, target }: Made): string {
  return `hakiri-${profile}-${target}`
}

function idOf(name: string): string {
  return `SPDXRef-${name.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`
}
